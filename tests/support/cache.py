"""Helpers for tests of the response cache: a store in memory, and the API with it."""

import time
from collections.abc import Mapping
from typing import Any

from serving.api import ApiSettings, create_app
from serving.api.exchange import Api
from serving.cards import ModelCard
from serving.engine import Engine
from serving.store.errors import StoreUnavailable
from serving.store.settings import StoreSettings
from serving.store.store import Store
from serving.telemetry import Observer


class MemoryExpiring:
    """`Expiring` in memory. `away`: every call fails as if the server could not be reached. `clock`: Unix time."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[bytes, float]] = {}
        self.away = False
        self.clock = time.time
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise StoreUnavailable("scripted to be away")

    def _live(self, key: str) -> bytes | None:
        value, expires_at = self.values.get(key, (None, 0.0))
        return value if expires_at > self.clock() else None

    async def get(self, key: str) -> bytes | None:
        self._called("get")
        return self._live(key)

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._called("put")
        self.values[key] = (value, self.clock() + ttl_s)

    async def delete(self, key: str) -> None:
        self._called("delete")
        self.values.pop(key, None)

    async def claim(self, key: str, owner: str, ttl_s: float) -> bool:
        self._called("claim")
        if self._live(key) not in (None, owner.encode()):
            return False
        self.values[key] = (owner.encode(), self.clock() + ttl_s)
        return True

    async def release(self, key: str, owner: str) -> None:
        self._called("release")
        if self._live(key) == owner.encode():
            del self.values[key]

    async def evict(self, prefix: str, max_bytes: int) -> None:
        self._called("evict")

    async def add(self, key: str, amount: float, ttl_s: float) -> float:
        raise NotImplementedError

    async def total(self, key: str) -> float:
        raise NotImplementedError

    async def ping(self) -> None:
        self._called("ping")

    async def close(self) -> None:
        return

    @property
    def answers(self) -> list[str]:
        """Keys of stored answers."""
        return [key for key in self.values if key.startswith("cache:a:")]


class CacheLog(Observer):
    """Records the events of the cache, and the ends of requests."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.ends: list[Any] = []
        self.running = 0

    def cache_used(self, model: str, event: str, size_bytes: int = 0) -> None:
        self.events.append(event)

    def request_started(self, model: str) -> None:
        self.running += 1

    def request_ended(self, end: Any) -> None:
        self.running -= 1
        self.ends.append(end)


def cached_app(
    engines: Mapping[str, Engine],
    expiring: Any,
    *,
    recipes: tuple[str, ...] = (),
    observer: Observer | None = None,
    **settings: Any,
) -> Api:
    """The API over `engines`, with answers kept in `expiring`. Without a lifespan: the store is not started."""
    cards = [ModelCard(name, "recipe" if name in recipes else "model", 4096) for name in engines]
    store = Store(StoreSettings(), environment={})
    store.expiring = expiring
    store.requests = None  # no records: nothing closes the database
    return create_app(engines, cards, ApiSettings(**settings), observer, store=store)

"""Apps whose limits run on a clock that a test sets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp

from serving.api.app import create_app
from serving.api.limiter import Limiter
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.store.store import Store
from serving.telemetry import Observer

NOON = 1_795_953_600.0  # 2026-11-29 12:00:00 UTC, the beginning of a minute
PRICE = {"prompt": 1.0, "completion": 2.0}


class Clock:
    """Unix time that stands still."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def limited_app(
    clock: Clock,
    engines: Mapping[str, Engine] | None = None,
    *,
    store: Store | None = None,
    observer: Observer | None = None,
    recipes: tuple[str, ...] = (),
    **settings: Any,
) -> ASGIApp:
    """The API over `engines` (by default one model `m`), with prices, and limits by `clock`."""
    engines = engines or {"m": ScriptedEngine("m", "one two three")}
    cards = [
        ModelCard(name, "recipe", 4096)
        if name in recipes
        else ModelCard(name, "model", 4096, usd_per_million_tokens=PRICE)
        for name in engines
    ]
    given = ApiSettings(**settings)
    app = create_app(engines, cards, given, observer, store=store)
    limiter = Limiter(given, {card.id: card for card in cards}, store, observer or Observer(), clock)
    app.state.server = replace(app.state.server, limiter=limiter)
    return app


def key(name: str = "a", **fields: Any) -> dict[str, Any]:
    """A named key whose text is `key of NAME`."""
    return {"name": name, "key": f"key of {name}", **fields}


def limits(**fields: Any) -> dict[str, Any]:
    """A named key with limits."""
    return key(limits=fields)


def auth(name: str = "a") -> dict[str, str]:
    """Headers with the key of `key(name)`."""
    return {"authorization": f"Bearer key of {name}"}

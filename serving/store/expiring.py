"""State that expires: values, counters and claims, in the database or in Redis."""

from collections.abc import Sequence
from typing import Protocol

from serving.store.counters import Added, Addition


class Expiring(Protocol):
    """Values, counters and claims with a lifetime, shared by all processes that use the same store.

    Keys have at most 200 characters; the parts of the server begin theirs with a word of their own: `cache:...`.
    All methods raise `StoreUnavailable`.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, if it has not expired."""

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store a value in the place of an earlier one."""

    async def add_all(self, additions: Sequence[Addition]) -> Added:
        """Add to several counters in one step, or to none of them if one would exceed its limit.

        A counter begins at 0, and lives its `ttl_s` from its first addition. Each is named once. One round trip.
        """

    async def total(self, key: str) -> float:
        """The sum of a counter; 0 if there is none."""

    async def claim(self, key: str, owner: str, ttl_s: float) -> bool:
        """Claim `key` for `owner`, or prolong its claim. False if another owner has a claim that has not expired."""

    async def release(self, key: str, owner: str) -> None:
        """End the claim of `owner`, if it still has it."""

    async def evict(self, prefix: str, max_bytes: int) -> None:
        """Delete values whose keys begin with `prefix`, those that expire first, until the others have `max_bytes`.

        Does nothing in Redis, which has a limit of its own (`maxmemory`).
        """

    async def sweep(self) -> None:
        """Remove what has expired, where the server does not do it by itself."""

    async def ping(self) -> None:
        """Raises `StoreUnavailable` if the store does not answer."""

    async def close(self) -> None:
        """Close all connections."""

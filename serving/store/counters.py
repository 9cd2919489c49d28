"""Additions to several counters as one step, which limits may refuse as a whole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

ROUNDING = 1e-9  # a sum of dollars may exceed its limit by this


@dataclass(frozen=True, slots=True)
class Addition:
    """Addition to one counter.

    Attributes:
        key: of the counter.
        amount: to add.
        ttl_s: lifetime of the counter from its first addition, in seconds.
        limit: maximum of the counter's sum; if it would be exceeded, none of the additions is made. None: no maximum.
    """

    key: str
    amount: float
    ttl_s: float
    limit: float | None = None

    def fits(self, total: float) -> bool:
        """True if the counter with the sum `total` has room for it."""
        return self.limit is None or total + self.amount <= self.limit + ROUNDING


@dataclass(frozen=True, slots=True)
class Added:
    """Result of additions.

    Attributes:
        granted: they were made.
        totals: sums of the counters in the order of the additions: with them, or without them if they were refused.
    """

    granted: bool
    totals: tuple[float, ...]


def joined(additions: Iterable[Addition]) -> Sequence[Addition]:
    """The additions sorted by key, those to one counter as one: all processes then lock counters in the same order."""
    by_key: dict[str, Addition] = {}
    for one in additions:
        known = by_key.get(one.key)
        by_key[one.key] = one if known is None else replace(known, amount=known.amount + one.amount)
    return [by_key[key] for key in sorted(by_key)]

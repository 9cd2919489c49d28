"""Statistics of repeated rounds: medians, their intervals, and a verdict on a ratio."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Literal

Verdict = Literal["ahead", "equal", "behind"]
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of repeated measurements with its interval.

    Attributes:
        median: of the values.
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: probability that the interval contains the true median.
    """

    median: float
    low: float
    high: float
    confidence: float

    def verdict(self, less_is_better: bool) -> Verdict:
        """Compare a ratio with 1: equal if the interval contains 1, or has less than 95% confidence."""
        if self.confidence < CONFIDENCE or self.low <= 1 <= self.high:
            return "equal"
        return "ahead" if (self.high < 1) == less_is_better else "behind"


def spread(values: Sequence[float]) -> Spread:
    """Summarize at least one value.

    The interval is that of order statistics, which assumes no distribution (H. A. David, Order Statistics, 7.1): the
    narrowest one, symmetric in ranks, with at least 95% confidence; if there is none, from the smallest to the largest
    value.
    """
    ordered = sorted(values)
    count = len(ordered)
    below = 0  # values that the interval leaves out at each end
    while below + 1 < (count + 1) // 2 and _confidence(count, below + 1) >= CONFIDENCE:
        below += 1
    return Spread(median(ordered), ordered[below], ordered[count - 1 - below], _confidence(count, below))


def _confidence(count: int, below: int) -> float:
    return 1.0 - 2.0 * sum(comb(count, rank) for rank in range(below + 1)) / 2.0**count

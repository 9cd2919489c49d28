"""Confidence intervals and paired tests."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Share:
    """A mean of scores in [0, 1] with its 95% interval."""

    n: int  # items; samples of one item are not independent and count once
    value: float
    low: float
    high: float


def wilson(value: float, n: int) -> Share:
    """Return Wilson's score interval (1927) for a share `value` of `n` >= 1 trials."""
    centre = (value + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(value * (1 - value) / n + Z95**2 / (4 * n**2))
    return Share(n, value, max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half)))


MAX_ITEMS = 1_000_000


def items_needed(enough: Callable[[int], bool]) -> int | None:
    """Return the least number of items for which `enough` is true; `None` if even `MAX_ITEMS` do not suffice.

    Args:
        enough: True from some number of items on.
    """
    if not enough(MAX_ITEMS):
        return None
    low, high = 1, MAX_ITEMS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def share(scores: Mapping[Any, Sequence[float]]) -> Share | None:
    """Return the mean score over items (the keys) after averaging each item's samples; `None` without items."""
    means = [sum(values) / len(values) for values in scores.values() if values]
    return wilson(sum(means) / len(means), len(means)) if means else None


@dataclass(frozen=True, slots=True)
class Paired:
    """Difference of two arms on the items that both answered."""

    left: str
    right: str
    n: int
    difference: float  # mean score of left minus that of right
    low: float  # 95% bootstrap interval over items
    high: float
    p: float  # two-sided sign test on the items where they differ (for 0/1 scores: McNemar's exact test)


def paired(left: str, right: str, of_left: Mapping[object, float], of_right: Mapping[object, float]) -> Paired | None:
    """Compare two arms item by item; `None` if they share no item."""
    both = sorted(set(of_left) & set(of_right), key=str)
    if not both:
        return None
    differences = np.array([of_left[item] - of_right[item] for item in both])
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    chosen = np.random.default_rng(0).integers(0, len(both), (2000, len(both)))
    low, high = np.percentile(differences[chosen].mean(axis=1), [2.5, 97.5])
    p = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    return Paired(left, right, len(both), float(differences.mean()), float(low), float(high), p)

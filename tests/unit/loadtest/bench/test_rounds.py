import random

import pytest

from loadtest.bench.rounds import spread


@pytest.mark.parametrize(
    ("count", "ends", "confidence"),
    [(1, (0, 0), 0.0), (5, (0, 4), 0.9375), (6, (0, 5), 0.96875), (9, (1, 7), 0.9609375), (20, (5, 14), 0.9586)],
)
def test_the_interval_is_the_narrowest_with_95_percent(count: int, ends: tuple[int, int], confidence: float) -> None:
    values = list(range(count))
    random.Random(0).shuffle(values)
    found = spread(values)
    assert (found.low, found.high) == ends
    assert found.confidence == pytest.approx(confidence, abs=1e-4)
    assert found.median == (count - 1) / 2


@pytest.mark.parametrize(
    ("values", "less_is_better", "expected"),
    [
        ([0.8] * 6, True, "ahead"),
        ([0.8] * 6, False, "behind"),
        ([1.2] * 6, True, "behind"),
        ([1.2] * 6, False, "ahead"),
        ([0.5] * 5 + [1.01], True, "equal"),
        ([0.5] * 5, True, "equal"),  # five rounds have 94% confidence at most
    ],
)
def test_verdicts(values: list[float], less_is_better: bool, expected: str) -> None:
    assert spread(values).verdict(less_is_better) == expected

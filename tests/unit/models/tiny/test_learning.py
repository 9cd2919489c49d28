"""The learning rate schedule that the committed weights were trained with."""

import pytest

from models.tiny.learning import WARMUP_STEPS, rate_factor

STEPS = 2600


def test_the_rate_rises_linearly_from_the_first_step() -> None:
    assert rate_factor(0, steps=STEPS) == 1 / WARMUP_STEPS
    assert rate_factor(49, steps=STEPS) == 0.5


def test_the_rate_falls_linearly_and_ends_at_one_percent() -> None:
    assert rate_factor(WARMUP_STEPS, steps=STEPS) == pytest.approx(1 - WARMUP_STEPS / STEPS)
    assert rate_factor(1300, steps=STEPS) == 0.5
    assert rate_factor(STEPS - 1, steps=STEPS) == 0.01


def test_the_rate_never_exceeds_its_peak() -> None:
    assert max(rate_factor(step, steps=STEPS) for step in range(STEPS)) < 1

"""The length-controlled win rate, on judges whose bias is known."""

import numpy as np
import pytest

from evaluation.analysis.length_control import difficulties, fit, logistic, win_rates
from evaluation.judging.verdicts import Comparison


def judged(
    arm: str, theta: float, phi: float, *, longer: float = 0.0, count: int = 400, seed: int = 0, psi: float = 0.0
) -> list[Comparison]:
    """Pairs judged by the model: quality `theta`, bias for length `phi`, sensitivity to difficulty `psi`."""
    rng = np.random.default_rng(seed)
    chars = rng.normal(longer, 300, count).round().astype(int) + 2000
    gamma = np.random.default_rng(99).normal(0, 1, count)
    delta = chars - 2000
    preference = logistic(theta + phi * np.tanh(delta / delta.std(ddof=1)) + psi * gamma)
    return [
        Comparison(
            judge="j",
            arm=arm,
            baseline="base",
            dataset="data",
            item=str(i),
            orders=(float(preference[i]), float(preference[i])),
            arm_chars=int(chars[i]),
            baseline_chars=2000,
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("theta", [-1.0, 0.0, 0.5])
def test_the_bias_of_length_is_taken_out(theta: float) -> None:
    (rate,) = win_rates(judged("arm", theta, phi=1.5, longer=300), resamples=20)
    true = 100 * float(logistic(np.array(theta)))
    assert rate.controlled == pytest.approx(true, abs=1.0)
    assert rate.raw > true + 8  # the longer arm looks better than it is
    assert rate.length_weight == pytest.approx(1.5, abs=0.1)


def test_without_a_bias_both_rates_agree() -> None:
    (rate,) = win_rates(judged("arm", 0.4, phi=0.0, longer=300), resamples=20)
    assert rate.controlled == pytest.approx(rate.raw, abs=0.5)


def test_padding_an_answer_does_not_lift_the_controlled_rate() -> None:
    plain, padded = (win_rates(judged("arm", 0.0, 1.0, longer=by), resamples=0)[0] for by in (0, 400))
    assert padded.raw > plain.raw + 5
    assert padded.controlled == pytest.approx(plain.controlled, abs=1.0)


def test_a_fair_coin_is_at_fifty_and_swapping_sides_mirrors_the_rate() -> None:
    rng = np.random.default_rng(1)
    preference, delta = rng.integers(0, 2, 600).astype(float), rng.normal(0, 100, 600)
    left, right = fit(preference, delta), fit(1 - preference, -delta)
    assert left.controlled == pytest.approx(0.5, abs=0.05)
    assert left.controlled + right.controlled == pytest.approx(1.0, abs=1e-3)


def test_hard_verdicts_are_fitted_like_probabilities() -> None:
    rng = np.random.default_rng(2)
    delta = rng.normal(0, 100, 4000)
    chance = logistic(0.8 + 1.0 * np.tanh(delta / delta.std(ddof=1)))
    fitted = fit((rng.random(4000) < chance).astype(float), delta)
    assert (fitted.theta, fitted.phi) == (pytest.approx(0.8, abs=0.12), pytest.approx(1.0, abs=0.2))


def test_equal_lengths_leave_the_raw_rate() -> None:
    fitted = fit(np.array([1.0, 0.0, 1.0, 1.0] * 10), np.zeros(40))
    assert fitted.controlled == pytest.approx(0.75, abs=0.03)


def test_the_interval_holds_the_rate() -> None:
    (rate,) = win_rates(judged("arm", 0.3, 0.5, count=100), resamples=50)
    assert rate.controlled is not None
    assert rate.controlled_low is not None
    assert rate.controlled_high is not None
    assert rate.controlled_low <= rate.controlled <= rate.controlled_high
    assert rate.raw_low <= rate.raw <= rate.raw_high


def test_difficulty_needs_several_arms_and_ranks_the_items() -> None:
    arms = [
        judged(name, theta, 0.5, count=60, seed=i, psi=1.0)
        for i, (name, theta) in enumerate([("a", 0), ("b", 1), ("c", -1)])
    ]
    assert difficulties(arms[0] + arms[1]) == {}
    found = difficulties([pair for arm in arms for pair in arm])
    gamma = np.random.default_rng(99).normal(0, 1, 60)
    estimated = np.array([found["data", str(i)] for i in range(60)])
    assert np.corrcoef(gamma, estimated)[0, 1] > 0.95


def test_few_or_unjudged_pairs_have_no_controlled_rate() -> None:
    pairs = judged("arm", 0.3, 0.5, count=6)
    silent = [pair.model_copy(update={"orders": (None, 1.0), "item": f"x{i}"}) for i, pair in enumerate(pairs)]
    (rate,) = win_rates(pairs + silent, resamples=5)
    assert (rate.judged, rate.unjudged, rate.controlled) == (6, 6, None)


def test_arms_come_best_first_by_the_controlled_rate() -> None:
    long_and_bad = judged("long", -0.2, phi=2.0, longer=500)
    short_and_good = judged("short", 0.5, phi=2.0, longer=-300, seed=3)
    rates = win_rates(long_and_bad + short_and_good, resamples=0)
    assert [rate.arm for rate in rates] == ["short", "long"]
    assert rates[1].raw > rates[0].raw


def test_ten_wins_in_ten_are_no_certainty() -> None:
    """Regression test: a bootstrap gave the interval [100, 100]."""
    won = [pair.model_copy(update={"orders": (1.0, 1.0)}) for pair in judged("arm", 0.0, 0.0, count=10)]
    (rate,) = win_rates(won, resamples=20)
    assert (rate.raw, rate.raw_high) == (100.0, 100.0)
    assert rate.raw_low == pytest.approx(72.2, abs=0.1)  # Wilson's interval of 10 in 10
    assert (rate.controlled_low, rate.controlled_high) == (None, None)


def test_samples_of_an_item_are_not_independent() -> None:
    pairs = judged("arm", 0.3, 0.5, count=40)
    repeated = [pair.model_copy(update={"sample": sample}) for sample in range(10) for pair in pairs]
    once, often = (win_rates(given, resamples=60)[0] for given in (pairs, repeated))
    assert (often.raw, often.raw_low) == (pytest.approx(once.raw), pytest.approx(once.raw_low))
    assert None not in (once.controlled_low, once.controlled_high, often.controlled_low, often.controlled_high)
    widths = [rate.controlled_high - rate.controlled_low for rate in (once, often)]  # type: ignore[operator]
    assert widths[1] > 0.6 * widths[0]  # were they independent, it would be 0.32


def test_an_arm_without_a_verdict_is_last() -> None:
    """Regression test: its rate is no number, and numbers before and after it kept no order."""
    silent = [pair.model_copy(update={"orders": (None, None)}) for pair in judged("silent", 0.0, 0.0, count=4)]
    arms = [judged(name, theta, 0.0, count=8) for name, theta in (("low", -1.0), ("high", 1.0))]
    rates = win_rates([*arms[0], *silent, *arms[1]], resamples=0)
    assert [rate.arm for rate in rates] == ["high", "low", "silent"]

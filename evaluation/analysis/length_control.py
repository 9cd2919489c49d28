"""The length-controlled win rate of AlpacaEval 2 (arXiv 2404.04475).

A judge's preference for the arm m over the baseline b on instruction x is modelled as

    q(x) = logistic( theta + phi * tanh((len_m(x) - len_b(x)) / sd(len_m - len_b)) + psi * gamma(x) )

and the win rate is the mean of q with the length term set to zero: the judge's preference at equal lengths. theta is
the quality of the arm, phi the judge's bias for length, gamma the instruction's difficulty, known beforehand and shared
by all arms, psi the arm's sensitivity to difficulty. As in the reference implementation: soft labels (each pair counts
once as a win with weight q and once as a loss with weight 1 - q), an L1 penalty on all weights, its strength chosen by
five-fold cross-validation over instructions, no separate intercept.

Unlike the reference implementation, there is no weak regularization by a baseline's terse and verbose answers: they
exist for AlpacaEval's own baseline alone. gamma comes from the dataset if its rows have `instruction_difficulty`;
otherwise `difficulties` estimates it from at least three arms; otherwise the term is omitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from evaluation.analysis.stats import share
from evaluation.judging.verdicts import Comparison

Vector = NDArray[np.float64]
STRENGTHS = np.logspace(-2, 4, 13)  # 1 / penalty
FOLDS = 5
MIN_ARMS_FOR_DIFFICULTY = 3


@dataclass(frozen=True, slots=True)
class WinRate:
    """Wins against the baseline in percent, ties count half, with 95% intervals over items.

    The interval of the raw rate is Wilson's: a bootstrap of ten wins in ten would claim certainty. That of the
    controlled rate is a bootstrap of items, with all their samples; it is unknown if all verdicts are equal.
    """

    arm: str
    baseline: str
    judged: int
    unjudged: int  # pairs without a verdict in both orders
    raw: float
    raw_low: float
    raw_high: float
    controlled: float | None  # None: fewer than two items per fold
    controlled_low: float | None  # None: also if all verdicts are equal
    controlled_high: float | None
    length_weight: float | None  # phi; above 0 if the judge prefers longer answers
    mean_chars: float
    baseline_chars: float
    consistent: float | None  # share of pairs whose two orders agree


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted weights, and the length-controlled preference."""

    theta: float
    phi: float
    psi: float
    strength: float  # the chosen 1 / penalty
    controlled: float  # in [0, 1]


def logistic(x: Vector) -> Vector:
    """Compute 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def _weights(features: Vector, preference: Vector, strength: float) -> Vector:
    """Weights of an L1 logistic regression on soft labels. features: (n, k), preference: (n,) in [0, 1]."""
    model = LogisticRegression(
        C=strength, l1_ratio=1.0, solver="liblinear", fit_intercept=False, tol=1e-6, max_iter=1000, random_state=0
    )
    labels = np.repeat([1, 0], len(preference))
    with config_context(skip_parameter_validation=True, assume_finite=True):  # the arrays are valid
        model.fit(np.vstack([features, features]), labels, np.concatenate([preference, 1.0 - preference]))
    return np.asarray(model.coef_[0], dtype=np.float64)


def _log_loss(features: Vector, preference: Vector, weights: Vector) -> float:
    scores = features @ weights
    losses = preference * np.logaddexp(0.0, -scores) + (1.0 - preference) * np.logaddexp(0.0, scores)
    return float(losses.mean())


def _features(delta_chars: Vector, difficulty: Vector | None) -> Vector:
    spread = float(delta_chars.std(ddof=1)) if len(delta_chars) > 1 else 0.0
    length = np.tanh(delta_chars / spread) if spread > 0 else np.zeros_like(delta_chars)
    columns = [np.ones_like(delta_chars), length]
    return np.column_stack(columns if difficulty is None else [*columns, difficulty])


def _controlled(features: Vector, weights: Vector) -> float:
    same_length = features.copy()
    same_length[:, 1] = 0.0
    return float(logistic(same_length @ weights).mean())


def fit(preference: Vector, delta_chars: Vector, difficulty: Vector | None = None) -> Fit:
    """Fit the model to n judged pairs; arrays of shape (n,), n >= 2 * FOLDS."""
    features = _features(delta_chars, difficulty)
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(features))
    losses = [
        sum(
            _log_loss(features[test], preference[test], _weights(features[train], preference[train], strength))
            for train, test in folds
        )
        for strength in STRENGTHS
    ]
    strength = float(STRENGTHS[int(np.argmin(losses))])
    weights = _weights(features, preference, strength)
    psi = float(weights[2]) if difficulty is not None else 0.0
    return Fit(float(weights[0]), float(weights[1]), psi, strength, _controlled(features, weights))


def difficulties(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], float]:
    """Estimate gamma(x) per (dataset, item) by a joint fit over all arms with psi = 1 (arXiv 2404.04475).

    The value is high if all arms win against the baseline. Empty if fewer than `MIN_ARMS_FOR_DIFFICULTY` arms were
    judged: gamma would then only repeat their preferences.
    """
    judged = [(pair, pair.preference) for pair in comparisons if pair.preference is not None]
    arms = sorted({pair.arm for pair, _ in judged})
    items = sorted({(pair.dataset, pair.item) for pair, _ in judged})
    if len(arms) < MIN_ARMS_FOR_DIFFICULTY or len(items) < 2 * FOLDS:
        return {}
    arm_of, item_of = {arm: i for i, arm in enumerate(arms)}, {item: i for i, item in enumerate(items)}
    features = np.zeros((len(judged), 2 * len(arms) + len(items)))
    deltas: dict[str, list[int]] = {arm: [] for arm in arms}
    for pair, _ in judged:
        deltas[pair.arm].append(pair.arm_chars - pair.baseline_chars)
    spreads = {arm: float(np.std(values)) or 1.0 for arm, values in deltas.items()}
    for i, (pair, _) in enumerate(judged):
        arm = arm_of[pair.arm]
        features[i, arm] = 1.0
        features[i, len(arms) + arm] = np.tanh((pair.arm_chars - pair.baseline_chars) / spreads[pair.arm])
        features[i, 2 * len(arms) + item_of[pair.dataset, pair.item]] = 1.0
    preference = np.array([value for _, value in judged])
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=2000)
    labels = np.repeat([1, 0], len(judged))
    model.fit(np.vstack([features, features]), labels, np.concatenate([preference, 1.0 - preference]))
    gamma = model.coef_[0][2 * len(arms) :]
    return {item: float(gamma[i] - gamma.mean()) for item, i in item_of.items()}


def win_rates(comparisons: Sequence[Comparison], *, resamples: int = 200) -> list[WinRate]:
    """Return a win rate per arm, the best first, those without a verdict last; all have the same baseline."""
    shared = difficulties(comparisons)
    by_arm: dict[str, list[Comparison]] = {}
    for pair in comparisons:
        by_arm.setdefault(pair.arm, []).append(pair)
    rates = [_win_rate(arm, pairs, shared, resamples) for arm, pairs in by_arm.items()]
    return sorted(
        rates, key=lambda rate: (rate.judged == 0, -(rate.raw if rate.controlled is None else rate.controlled))
    )


def _win_rate(
    arm: str, pairs: Sequence[Comparison], shared: Mapping[tuple[str, str], float], resamples: int
) -> WinRate:
    judged = [pair for pair in pairs if pair.preference is not None]
    preference = np.array([pair.preference for pair in judged], dtype=np.float64)
    delta = np.array([pair.arm_chars - pair.baseline_chars for pair in judged], dtype=np.float64)
    known = [
        pair.difficulty if pair.difficulty is not None else shared.get((pair.dataset, pair.item)) for pair in judged
    ]
    difficulty = None if not known or None in known else np.array(known, dtype=np.float64)
    fitted = fit(preference, delta, difficulty) if len(judged) >= 2 * FOLDS else None
    by_item: dict[object, list[int]] = {}
    for place, pair in enumerate(judged):
        by_item.setdefault((pair.dataset, pair.item), []).append(place)
    groups = [np.array(places) for places in by_item.values()]
    rng = np.random.default_rng(0)
    controls: list[float] = []
    if fitted is not None and len(set(preference)) > 1:
        for _ in range(resamples):
            chosen = np.concatenate([groups[place] for place in rng.integers(0, len(groups), len(groups))])
            features = _features(delta[chosen], None if difficulty is None else difficulty[chosen])
            controls.append(_controlled(features, _weights(features, preference[chosen], fitted.strength)))
    raw = share({item: [float(preference[place]) for place in places] for item, places in by_item.items()})
    low, high = _interval(controls)
    agree = [pair.consistent for pair in judged if pair.consistent is not None]
    return WinRate(
        arm=arm,
        baseline=pairs[0].baseline,
        judged=len(judged),
        unjudged=len(pairs) - len(judged),
        raw=100 * raw.value if raw else float("nan"),
        raw_low=100 * raw.low if raw else float("nan"),
        raw_high=100 * raw.high if raw else float("nan"),
        controlled=None if fitted is None else 100 * fitted.controlled,
        controlled_low=low,
        controlled_high=high,
        length_weight=None if fitted is None else fitted.phi,
        mean_chars=float(np.mean([pair.arm_chars for pair in pairs])),
        baseline_chars=float(np.mean([pair.baseline_chars for pair in pairs])),
        consistent=sum(agree) / len(agree) if agree else None,
    )


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    low, high = np.percentile(values, [2.5, 97.5])
    return 100 * float(low), 100 * float(high)

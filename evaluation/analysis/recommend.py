"""The Pareto front of cost and accuracy, and the recommended arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluation.analysis.accuracy import accuracy
from evaluation.analysis.cost import ArmCost, costs
from evaluation.analysis.stats import Share
from evaluation.rows import Row

Currency = Literal["tokens", "usd", "latency_s"]
UNITS: dict[Currency, str] = {"tokens": "tokens", "usd": "US$", "latency_s": "s"}
NAMES: dict[Currency, str] = {"tokens": "tokens", "usd": "US$", "latency_s": "seconds"}


@dataclass(frozen=True, slots=True)
class Offer:
    """An arm's mean cost of an answer and its accuracy."""

    arm: str
    cost: float
    quality: Share


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommended arm and the sentence that explains it."""

    chosen: Offer | None  # None: no arm meets the constraints
    sentence: str


def offers(rows: Sequence[Row], currency: Currency) -> list[Offer]:
    """Return the arms with a known cost and accuracy, the cheapest first."""
    prices = {entry.arm: cost_in(entry, currency) for entry in costs(rows)}
    found = [
        Offer(entry.arm, price, entry.overall)
        for entry in accuracy(rows)
        if entry.overall is not None and (price := prices.get(entry.arm)) is not None
    ]
    return sorted(found, key=lambda offer: (offer.cost, -offer.quality.value))


def cost_in(entry: ArmCost, currency: Currency) -> float | None:
    """Return the mean cost of an answer in `currency`."""
    return {"tokens": entry.tokens, "usd": entry.usd, "latency_s": entry.latency_s}[currency]


def pareto_front(every: Sequence[Offer]) -> list[Offer]:
    """Return the offers that no other dominates: none is both cheaper and more accurate. The cheapest is first."""
    front: list[Offer] = []
    for offer in sorted(every, key=lambda offer: (offer.cost, -offer.quality.value)):
        if not front or offer.quality.value > front[-1].quality.value:
            front.append(offer)
    return front


def recommend(
    every: Sequence[Offer], currency: Currency, *, budget: float | None = None, min_accuracy: float | None = None
) -> Recommendation:
    """Recommend an arm.

    With `min_accuracy` (in [0, 1]): the cheapest arm that reaches it, within `budget` if given. With `budget` alone:
    the most accurate arm within it. With neither: the most accurate arm. The sentence also names a more accurate arm,
    or a cheaper one within the 95% interval of the recommended arm.
    """
    unit = UNITS[currency]
    affordable = [offer for offer in every if budget is None or offer.cost <= budget]
    limit = f" within {budget:g} {unit} per answer" if budget is not None else ""
    if not every:
        return Recommendation(None, f"No arm has both a known accuracy and a known cost in {unit}.")
    if not affordable:
        return Recommendation(None, f"No arm answers{limit}; the cheapest arm is {_described(every[0], unit)}.")
    best = max(affordable, key=lambda offer: (offer.quality.value, -offer.cost))
    if min_accuracy is not None:
        good = [offer for offer in affordable if offer.quality.value >= min_accuracy]
        if not good:
            return Recommendation(
                None, f"No arm{limit} reaches {min_accuracy:.1%}; the most accurate arm is {_described(best, unit)}."
            )
        chosen, why = good[0], f"the cheapest arm{limit} that reaches {min_accuracy:.1%}"
    elif budget is not None:
        chosen, why = best, f"the most accurate arm{limit}"
    else:
        chosen, why = best, "the most accurate arm"
    sentence = f"Use {_described(chosen, unit)}: {why}."
    if chosen != best:
        sentence += f" The most accurate arm{limit} is {_described(best, unit)}."
    close = next(offer for offer in affordable if offer.quality.value >= chosen.quality.low)
    if chosen == best and close.cost < chosen.cost:
        sentence += f" Cheaper and within its 95% interval: {_described(close, unit)}."
    return Recommendation(chosen, sentence)


def _described(offer: Offer, unit: str) -> str:
    low, high = offer.quality.low, offer.quality.high
    cost = f"{offer.cost:.3g}" if offer.cost < 100 else f"{offer.cost:,.0f}"
    return f"{offer.arm} ({offer.quality.value:.1%} [{low:.1%}, {high:.1%}], {cost} {unit} per answer)"

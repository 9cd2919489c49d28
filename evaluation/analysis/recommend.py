"""The Pareto front of cost and quality, and the arm to use."""

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
    """What an arm gives for its price: mean cost of an answer and accuracy."""

    arm: str
    cost: float
    quality: Share


@dataclass(frozen=True, slots=True)
class Recommendation:
    chosen: Offer | None  # None: no arm meets the constraints
    sentence: str


def offers(rows: Sequence[Row], currency: Currency) -> list[Offer]:
    """Arms with a known cost and accuracy, cheapest first."""
    prices = {entry.arm: cost_in(entry, currency) for entry in costs(rows)}
    found = [
        Offer(entry.arm, price, entry.overall)
        for entry in accuracy(rows)
        if entry.overall is not None and (price := prices.get(entry.arm)) is not None
    ]
    return sorted(found, key=lambda offer: (offer.cost, -offer.quality.value))


def cost_in(entry: ArmCost, currency: Currency) -> float | None:
    return {"tokens": entry.tokens, "usd": entry.usd, "latency_s": entry.latency_s}[currency]


def pareto_front(every: Sequence[Offer]) -> list[Offer]:
    """Offers that no other beats in one of cost and accuracy without being worse in the other; cheapest first."""
    front: list[Offer] = []
    for offer in sorted(every, key=lambda offer: (offer.cost, -offer.quality.value)):
        if not front or offer.quality.value > front[-1].quality.value:
            front.append(offer)
    return front


def recommend(
    every: Sequence[Offer], currency: Currency, *, budget: float | None = None, min_accuracy: float | None = None
) -> Recommendation:
    """Which arm to use.

    With `min_accuracy` (in [0, 1]) the cheapest that reaches it, within `budget` if that is given too; with a `budget`
    alone the most accurate within it; with neither the most accurate. Where another arm is cheaper and lies within the
    95% interval of the chosen one, or is more accurate, the sentence says so.
    """
    unit = UNITS[currency]
    affordable = [offer for offer in every if budget is None or offer.cost <= budget]
    limit = f" within {budget:g} {unit} an answer" if budget is not None else ""
    if not every:
        return Recommendation(None, f"No arm has both a known accuracy and a known cost in {unit}.")
    if not affordable:
        return Recommendation(None, f"No arm answers{limit}; the cheapest is {_told(every[0], unit)}.")
    best = max(affordable, key=lambda offer: (offer.quality.value, -offer.cost))
    if min_accuracy is not None:
        good = [offer for offer in affordable if offer.quality.value >= min_accuracy]
        if not good:
            return Recommendation(
                None, f"No arm{limit} reaches {min_accuracy:.1%}; the most accurate is {_told(best, unit)}."
            )
        chosen, why = good[0], f"the cheapest arm{limit} that reaches {min_accuracy:.1%}"
    elif budget is not None:
        chosen, why = best, f"the most accurate arm{limit}"
    else:
        chosen, why = best, "the most accurate arm"
    said = f"Use {_told(chosen, unit)}: {why}."
    if chosen != best:
        said += f" The most accurate{limit} is {_told(best, unit)}."
    close = next(offer for offer in affordable if offer.quality.value >= chosen.quality.low)
    if chosen == best and close.cost < chosen.cost:
        said += f" Within its 95% interval and cheaper: {_told(close, unit)}."
    return Recommendation(chosen, said)


def _told(offer: Offer, unit: str) -> str:
    low, high = offer.quality.low, offer.quality.high
    cost = f"{offer.cost:.3g}" if offer.cost < 100 else f"{offer.cost:,.0f}"
    return f"{offer.arm} ({offer.quality.value:.1%} [{low:.1%}, {high:.1%}] at {cost} {unit} an answer)"

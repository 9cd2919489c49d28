"""The Pareto front of cost and accuracy, and the recommended arm."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from evaluation.analysis.accuracy import accuracy
from evaluation.analysis.cost import ArmCost, costs
from evaluation.analysis.stats import Share
from evaluation.rows import Row

Currency = Literal["tokens", "usd", "latency_s", "tflops"]  # fields of ArmCost
UNITS: dict[Currency, str] = {"tokens": "tokens", "usd": "US$", "latency_s": "s", "tflops": "TFLOPs"}


@dataclass(frozen=True, slots=True)
class Offer:
    """An arm's mean cost of an answer and its accuracy."""

    arm: str
    cost: float
    quality: Share
    tokens: float | None = None  # mean tokens of an answer, whatever the cost is


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommended arm and the sentence that explains it."""

    chosen: Offer | None  # None: no arm meets the constraints
    sentence: str


def offers(rows: Sequence[Row], cost: Callable[[ArmCost], float | None]) -> list[Offer]:
    """Return the arms with a known cost and accuracy, the cheapest first; `cost` takes one kind of cost."""
    spent = {entry.arm: entry for entry in costs(rows)}
    prices = {arm: cost(entry) for arm, entry in spent.items()}
    found = [
        Offer(entry.arm, price, entry.overall, spent[entry.arm].tokens)
        for entry in accuracy(rows)
        if entry.overall is not None and (price := prices.get(entry.arm)) is not None
    ]
    return sorted(found, key=lambda offer: (offer.cost, -offer.quality.value))


def pareto_front(every: Sequence[Offer]) -> list[Offer]:
    """Return the offers that no other dominates: none is both cheaper and more accurate. The cheapest is first."""
    front: list[Offer] = []
    for offer in sorted(every, key=lambda offer: (offer.cost, -offer.quality.value)):
        if not front or offer.quality.value > front[-1].quality.value:
            front.append(offer)
    return front


def recommend(
    every: Sequence[Offer],
    currency: Currency,
    *,
    budget: float | None = None,
    min_accuracy: float | None = None,
    best_is: str = "most accurate",
) -> Recommendation:
    """Recommend an arm.

    With `min_accuracy` (in [0, 1]): the cheapest arm that reaches it, within `budget` if given. With `budget` alone:
    the most accurate arm within it. With neither: the most accurate arm. The sentence also names a more accurate arm,
    or a cheaper one within the 95% interval of the recommended arm. `best_is` names the quality of the best arm.
    """
    unit = UNITS[currency]
    affordable = [offer for offer in every if budget is None or offer.cost <= budget]
    limit = f" within {budget:g} {unit} per answer" if budget is not None else ""
    if not every:
        return Recommendation(None, f"No arm has both a known accuracy and a known cost in {unit}.")
    if not affordable:
        return Recommendation(None, f"No arm answers{limit}; the cheapest arm is {described(every[0], unit)}.")
    best = max(affordable, key=lambda offer: (offer.quality.value, -offer.cost))
    if min_accuracy is not None:
        good = [offer for offer in affordable if offer.quality.value >= min_accuracy]
        if not good:
            return Recommendation(
                None, f"No arm{limit} reaches {min_accuracy:.1%}; the {best_is} arm is {described(best, unit)}."
            )
        chosen, why = good[0], f"the cheapest arm{limit} that reaches {min_accuracy:.1%}"
    elif budget is not None:
        chosen, why = best, f"the {best_is} arm{limit}"
    else:
        chosen, why = best, f"the {best_is} arm"
    sentence = f"Use {described(chosen, unit)}: {why}."
    if min_accuracy is not None and chosen.quality.low < min_accuracy:
        sentence += f" Its 95% interval begins below {min_accuracy:.1%}."
    if chosen != best:
        sentence += f" The {best_is} arm{limit} is {described(best, unit)}."
    close = next(offer for offer in affordable if offer.quality.value >= chosen.quality.low)
    if chosen == best and close.cost < chosen.cost:
        sentence += f" Cheaper and within its 95% interval: {described(close, unit)}."
    elif chosen == best and (
        others := [one.arm for one in affordable if one != best and one.quality.value >= best.quality.low]
    ):
        sentence += f" Within its 95% interval, so perhaps as good, but not cheaper: {', '.join(others)}."
    return Recommendation(chosen, sentence)


def described(offer: Offer, unit: str) -> str:
    """Describe an offer with its interval, its cost and its tokens; the cost in US$ is per 1,000 answers."""
    low, high = offer.quality.low, offer.quality.high
    cost, answers = (1000 * offer.cost, "1,000 answers") if unit == UNITS["usd"] else (offer.cost, "answer")
    shown = f"{cost:.3g}" if cost < 100 else f"{cost:,.0f}"
    tokens = "" if unit == UNITS["tokens"] or offer.tokens is None else f", {offer.tokens:,.0f} tokens"
    return f"{offer.arm} ({offer.quality.value:.1%} [{low:.1%}, {high:.1%}], {shown} {unit} per {answers}{tokens})"

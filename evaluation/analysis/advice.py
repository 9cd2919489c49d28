"""Advice on the arms of a run: a recommendation, or the reason for none and the number of items that it needs."""

from collections.abc import Sequence
from operator import attrgetter

from evaluation.analysis.accuracy import item_scores
from evaluation.analysis.recommend import UNITS, Currency, Offer, Recommendation, described, offers, recommend
from evaluation.analysis.stats import Share, items_needed, wilson
from evaluation.analysis.verdicts import Scores
from evaluation.rows import Row

MARGIN = 0.10  # the 95% interval of the recommended arm may reach this far from its value, one way
MIN_COMMON = 0.90  # of the scored items, the share that every arm must have
EVEN = 0.5  # preference of an arm that is as good as the baseline


def advise(
    scores: Scores, currency: Currency, *, budget: float | None = None, min_accuracy: float | None = None
) -> Recommendation:
    """Recommend an arm on the items that all arms have scores for, as `recommend`; none if the scores do not allow it.

    Nothing is recommended if a dataset's scores are in doubt; if the datasets have scores of different kinds; if the
    arms were scored on different items; if a scorer found every answer wrong; if only one arm has a score and no
    constraint is given; if the interval of the recommended arm is wider than `MARGIN`; or if the arms were compared
    with a baseline and its interval contains `EVEN`. A baseline's own answers have no score.
    """
    rows = scores.rows
    if scores.doubts:
        return _nothing(" ".join(scores.doubts))
    if not scores.measures:
        return _nothing("No answer has a score.")
    kinds = list(dict.fromkeys("accuracy" if source is None else str(source) for source in scores.measures.values()))
    if len(kinds) > 1:
        measured = "; ".join(f"'{dataset}' by {source or 'a scorer'}" for dataset, source in scores.measures.items())
        return _nothing(f"Scores of different kinds have no mean: {measured}. Choose with --datasets.")
    source = next(iter(scores.measures.values()))
    if source is not None and min_accuracy is not None:
        return _nothing(f"A minimum accuracy cannot be applied to {source}.")
    if (lack := _incomplete(rows)) is not None:
        return _nothing(lack)
    every = offers(_common(rows), attrgetter(currency))
    if source is None and every and not any(offer.quality.value for offer in every):
        return _nothing("Every answer was scored as wrong: check the kind and the scorer of the dataset.")
    if len(every) == 1 and budget is None and min_accuracy is None:
        shown = described(every[0], UNITS[currency])
        return _nothing(f"Only one arm has a score, {shown}. Run another to compare with.")
    words = ("most accurate", "") if source is None else ("best", f" Scores are {source}; a tie is 50%.")
    if source is not None and source.baseline is None:
        words = ("best", f" Scores are {source}, from 1 (0%) to {source.scale} (100%).")
    found = recommend(every, currency, budget=budget, min_accuracy=min_accuracy, best_is=words[0])
    if found.chosen is None:
        return found
    if (needed := _needed(found.chosen.quality)) is not None:
        return _nothing(_too_few(found.chosen, needed, UNITS[currency]))
    if source is not None and source.baseline is not None:
        doubt = _against_baseline(found.chosen, source.baseline, UNITS[currency])
        if doubt is not None:
            return _nothing(doubt + words[1])
    return Recommendation(found.chosen, found.sentence + words[1])


def _nothing(reason: str) -> Recommendation:
    return Recommendation(None, f"No recommendation. {reason}")


def _scored_items(rows: Sequence[Row]) -> dict[str, set[object]]:
    """Scored items of each arm that has any."""
    arms = {
        arm: set(item_scores([row for row in rows if row.arm == arm])) for arm in dict.fromkeys(r.arm for r in rows)
    }
    return {arm: items for arm, items in arms.items() if items}


def _incomplete(rows: Sequence[Row]) -> str | None:
    """Sentence on the arm that lacks most items, if the arms have too few in common."""
    arms = _scored_items(rows)
    every = set[object]().union(*arms.values())
    common = every.intersection(*arms.values())
    if len(common) >= MIN_COMMON * len(every):
        return None
    fewest = min(arms, key=lambda arm: len(arms[arm]))
    return (
        f"The arms were scored on different items: {len(common)} of {len(every)} are common to all, and '{fewest}' has"
        f" {len(arms[fewest])}. Run or judge the rest, or choose with --datasets."
    )


def _common(rows: Sequence[Row]) -> list[Row]:
    """Rows of the items that all scored arms have a score for."""
    arms = _scored_items(rows)
    common = set.intersection(*arms.values()) if arms else set()
    return [row for row in rows if (row.dataset, row.item) in common]


def _needed(quality: Share) -> int | None:
    """Items for an interval within `MARGIN`; `None` if it is."""

    def narrow(n: int) -> bool:
        found = wilson(quality.value, n)
        return max(found.value - found.low, found.high - found.value) <= MARGIN

    return None if narrow(quality.n) else items_needed(narrow)


def _too_few(offer: Offer, needed: int, unit: str) -> str:
    return (
        f"Too few items: {needed} needed for an interval within {100 * MARGIN:.0f} points, there are {offer.quality.n}:"
        f" {described(offer, unit)}."
    )


def _against_baseline(offer: Offer, baseline: str, unit: str) -> str | None:
    """Sentence if the arm is not surely better than the baseline."""
    quality, shown = offer.quality, described(offer, unit)
    if quality.low > EVEN:
        return None
    if quality.high < EVEN:
        return f"The baseline '{baseline}' is preferred to the best arm, {shown}."
    needed = items_needed(lambda n: wilson(quality.value, n).low > EVEN) if quality.value > EVEN else None
    more = f" Too few items: {needed:,} needed at this rate." if needed is not None else ""
    return f"The verdicts do not tell whether the best arm, {shown}, is better than the baseline '{baseline}'.{more}"

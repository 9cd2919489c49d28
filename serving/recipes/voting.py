"""Votes: agreement between proposals by the short answers in them, or by their tool calls."""

from collections import Counter
from math import comb
from typing import Literal

from serving.recipes.extraction import AnswerKind, extracted
from serving.references import Reference, References
from serving.runtime.task import Arrived

Stop = Literal["never", "certain", "likely"]
STOP = (
    "Cancel the proposers that still run when their votes cannot change the answer (certain), or change it with a"
    " probability of at most stop_error (likely)."
)
STOP_ERROR = "Probability of another answer at which `stop: likely` ends the vote."
Answer = tuple[str, str]  # "text" or "calls", and the answer: no text is a vote for calls


def vote_of(reference: Reference, kind: AnswerKind) -> Answer | None:
    """Vote of one proposal: its tool calls if it has any, else the answer in its text; None if it has neither.

    An empty text, which the caller's own `stop` ended at once, is an answer like others.
    """
    if reference.draft is not None and reference.tool_calls:
        return None if reference.draft.ballot is None else ("calls", reference.draft.ballot)
    if not reference.text:
        return ("text", "")
    answer = extracted(reference.text, kind)
    return None if answer is None else ("text", answer)


def votes(references: References, kind: AnswerKind) -> Counter[Answer]:
    """Number of proposals for each answer; proposals without an answer do not vote."""
    return Counter(vote for reference in references if (vote := vote_of(reference, kind)) is not None)


def majority(references: References, kind: AnswerKind) -> Reference:
    """The first proposal with the most frequent answer; the first of all if none has an answer."""
    count = votes(references, kind)
    if not count:
        return references[0]
    most = max(count.values())
    return next(r for r in references if (vote := vote_of(r, kind)) is not None and count[vote] == most)


def weights(references: References) -> tuple[float, ...]:
    """Weight of each vote: the confidence of the answer, relative to the mean of its model. 1 without a confidence."""
    known: dict[str, list[float]] = {}
    for one in references:
        if one.confidence is not None:
            known.setdefault(one.model, []).append(one.confidence)
    means = {model: sum(values) / len(values) for model, values in known.items()}
    return tuple(
        1.0 if one.confidence is None or not means[one.model] else one.confidence / means[one.model]
        for one in references
    )


def confident_majority(references: References, kind: AnswerKind) -> tuple[Reference, float]:
    """The first proposal with the answer of the largest weight, and the share of that answer in all votes.

    Without any answer it is the first proposal, with the share 0. Ties go to the earlier answer.
    """
    sums: dict[Answer, float] = {}
    first: dict[Answer, Reference] = {}
    for reference, weight in zip(references, weights(references), strict=True):
        if (vote := vote_of(reference, kind)) is not None:
            sums[vote] = sums.get(vote, 0.0) + weight
            first.setdefault(vote, reference)
    if not sums:
        return references[0], 0.0
    best = max(sums, key=lambda answer: sums[answer])
    return first[best], sums[best] / (sum(sums.values()) or 1.0)


def upset_probability(arrived: Arrived, kind: AnswerKind) -> float:
    """Probability that the answers that are missing give the vote another winner; 0 only if they cannot.

    Of each missing answer it is assumed that it is the leader's with a fixed unknown probability, uniform before the
    first answer, so that the votes so far give it a beta distribution, as in Adaptive-Consistency (arXiv 2305.11860),
    and that every other answer votes for one rival. The number of missing answers that are the leader's is then
    beta-binomial. Ties are won as in `majority`.
    """
    count: Counter[Answer] = Counter()
    first: dict[Answer, int] = {}
    for place, reference in enumerate(arrived.references):
        if (vote := vote_of(reference, kind)) is not None:
            count[vote] += 1
            first.setdefault(vote, place)
    if not count:
        return float(arrived.missing > 0)
    leader = min(count, key=lambda answer: (-count[answer], first[answer]))
    missing, lead = arrived.missing, count[leader]
    rivals = [(count[answer], first[answer] < first[leader]) for answer in count if answer != leader]
    losing = 0  # the leader loses if it gets fewer of the missing votes than this
    for votes_so_far, earlier in [(0, False), *rivals]:  # an answer that is not known yet, and those that are
        wins_ties = earlier or arrived.settled <= first[leader]
        ahead = votes_so_far + missing - lead  # of the rival, if it gets all; less 2 for each that the leader gets
        losing = max(losing, (ahead + 2) // 2 if wins_ties else (ahead + 1) // 2)
    return probability_below(losing, lead, count.total() - lead, missing)


def probability_below(needed: int, lead: int, others: int, missing: int) -> float:
    """Probability that fewer than `needed` of the `missing` votes are the leader's; see `upset_probability`."""
    return sum(_beta_binomial(won, missing, lead + 1, others + 1) for won in range(min(needed, missing + 1)))


def _beta_binomial(successes: int, trials: int, a: int, b: int) -> float:
    """Probability of so many `successes` in `trials` whose probability has the distribution Beta(`a`, `b`)."""
    ways = comb(successes + a - 1, a - 1) * comb(trials - successes + b - 1, b - 1)
    return ways / comb(trials + a + b - 1, a + b - 1)

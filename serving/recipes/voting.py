"""Votes: agreement between proposals by the short answers in them."""

from collections import Counter

from serving.recipes.extraction import AnswerKind, extracted
from serving.types import Reference, References


def votes(references: References, kind: AnswerKind) -> Counter[str]:
    """Number of proposals for each answer; proposals without an answer do not vote."""
    return Counter(answer for reference in references if (answer := extracted(reference.text, kind)) is not None)


def majority(references: References, kind: AnswerKind) -> Reference:
    """The first proposal with the most frequent answer; the first of all if none has an answer."""
    count = votes(references, kind)
    if not count:
        return references[0]
    most = max(count.values())
    return next(r for r in references if count.get(extracted(r.text, kind) or "", 0) == most)

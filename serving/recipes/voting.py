"""Votes: agreement between proposals by the short answers in them, or by their tool calls."""

from collections import Counter

from serving.recipes.extraction import AnswerKind, extracted
from serving.references import Reference, References

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

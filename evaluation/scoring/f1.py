"""Scorer of short answers by their words: F1 of precision and recall, as in SQuAD's and HotpotQA's evaluations."""

from collections import Counter

from evaluation.scoring.exact import extract, is_right
from evaluation.scoring.squad import normalized

__all__ = ["extract", "same"]

WHOLE = ("yes", "no")  # answers that no further word may stand beside, as in HotpotQA's evaluation


def same(extracted: str, reference: str) -> float:
    """Return the F1 score of the words that both have after SQuAD's normalization, from 0 to 1."""
    given, wanted = normalized(extracted).split(), normalized(reference).split()
    if not given or not wanted:
        return float(is_right(extracted, reference))
    if given != wanted and (" ".join(given) in WHOLE or " ".join(wanted) in WHOLE):
        return 0.0
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted))

r"""Scorer of LaTeX answers: the last `\boxed{...}` of a worked solution."""

from evaluation.scoring import number
from serving.recipes.extraction import boxed_in as extract
from serving.recipes.extraction import last_boxed, simplified

__all__ = ["extract", "last_boxed", "same", "simplified"]


def same(extracted: str, reference: str) -> bool:
    """Compare in simplified LaTeX, then as numbers."""
    left, right = simplified(extracted), simplified(reference)
    if left == right:
        return True
    value = number.value(left)
    return value is not None and value == number.value(right)

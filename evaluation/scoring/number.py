r"""Scorer of numbers in worked answers: after `####`, in `\boxed{}`, or the last number."""

from serving.recipes.extraction import number_in as extract
from serving.recipes.extraction import number_value as value

__all__ = ["extract", "same", "value"]


def same(extracted: str, reference: str) -> bool:
    """Compare as numbers: 1,000 equals 1000.0 and 1/2 equals 0.5. `reference` may be a worked solution."""
    right = value(reference)
    if right is None and (taken := extract(reference)) is not None:
        right = value(taken)
    left = value(extracted)
    return left is not None and left == right

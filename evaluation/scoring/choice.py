"""Scorer of multiple choice: the letter of the answer."""

from serving.recipes.extraction import choice_in as extract

__all__ = ["extract", "same"]


def same(extracted: str, reference: str) -> bool:
    """Compare letters."""
    return extracted == reference.strip().upper()

"""The letter of a multiple-choice answer."""

from serving.recipes.extraction import choice_in as extract

__all__ = ["extract", "same"]


def same(extracted: str, reference: str) -> bool:
    return extracted == reference.strip().upper()

"""Scorer of short answers in longer texts: the reference's words occur in the text, in their order and side by side."""

from evaluation.scoring.exact import extract
from evaluation.scoring.squad import normalized

__all__ = ["extract", "same"]


def same(extracted: str, reference: str) -> bool:
    """Look for the reference after SQuAD's normalization of both."""
    wanted = normalized(reference)
    return f" {wanted} " in f" {normalized(extracted)} " if wanted else reference.strip() in extracted

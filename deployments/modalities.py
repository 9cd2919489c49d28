"""Kinds of content that a model reads in messages, as a profile says it."""

from serving.conversation import Modality


def checked_modalities(modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
    """`modalities` in their order. Raises `ValueError` if text is not among them, or one is given twice."""
    if "text" not in modalities or len(set(modalities)) < len(modalities):
        raise ValueError("modalities are [text] or [text, image]")
    return tuple(sorted(modalities, reverse=True))

"""Similarity of texts by edit distance."""

from rapidfuzz.distance import Levenshtein

NEAR = 0.9  # share of characters in common from which long texts count as equal
LONG = 32  # characters; in a shorter text one character may be the whole difference between right and wrong


def plain(text: str) -> str:
    """The text in lower case with single spaces."""
    return " ".join(text.lower().split())


def distance(one: str, other: str) -> float:
    """Normalized edit distance of two texts, in [0, 1]."""
    return Levenshtein.normalized_distance(plain(one), plain(other))


def near(one: str, other: str) -> bool:
    """True if two texts are equal but for case and spaces, or long and nearly equal by edit distance."""
    left, right = plain(one), plain(other)
    if left == right:
        return True
    return min(len(left), len(right)) >= LONG and Levenshtein.normalized_similarity(left, right) >= NEAR

"""Suggestions for words that are not known: "did you mean ...?"."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN_CHARS = 40  # of the given word that are compared


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most similar to `word`; None if none is similar."""
    found = get_close_matches(word[:SHOWN_CHARS], list(known), n=1)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The question "did you mean 'x'? ", for the middle of a sentence; empty if no known word is similar."""
    similar = nearest(word, known)
    return f"did you mean '{similar}'? " if similar else ""

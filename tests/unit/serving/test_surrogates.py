"""Texts without lone surrogates, however their pairs are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.surrogates import SurrogateJoiner, well_formed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("é😀", "é😀"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83d", "a\ufffd"),
        ("\ude00a", "\ufffda"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_pairs_are_characters_and_halves_are_replaced(text: str, wanted: str) -> None:
    assert well_formed(text) == wanted


@given(st.lists(st.text(st.characters(categories=["Cs", "Ll", "So"]))))
def test_cutting_a_text_changes_nothing(pieces: list[str]) -> None:
    joiner = SurrogateJoiner()
    joined = "".join(joiner.feed(piece) for piece in pieces) + joiner.flush()
    assert joined == well_formed("".join(pieces))
    joined.encode()
    assert joiner.flush() == ""

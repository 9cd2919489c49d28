"""Equality of short texts."""

import pytest

from evaluation.scoring import score
from evaluation.scoring.exact import is_right


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("Paris.", "paris", True),
        ("  PARIS ", "Paris", True),
        ("Paris, France", "Paris", False),
        ("-3", "3", False),
        ("", "Paris", False),
    ],
)
def test_exact(text: str, reference: str, right: bool) -> None:
    assert score("exact", text, reference).score == right


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("56", "56", True),
        (" paris.\n", "Paris", True),
        ("Brasília", "Brasilia", True),
        ('"olleh"', "olleh", True),
        ("Port-au-Prince", "port-au-prince", True),
        ("\N{MINUS SIGN}5", "-5", True),
        ("5", "-5", False),
        ("560", "56", False),
        ("Paris or Rome", "Paris", False),
        ("", "Paris", False),
    ],
)
def test_is_right(answer: str, expected: str, right: bool) -> None:
    assert is_right(answer, expected) is right

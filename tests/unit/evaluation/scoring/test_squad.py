"""SQuAD's normalization, and the scorers that use it."""

import pytest

from evaluation.scoring import score
from evaluation.scoring.squad import normalized


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The Beatles!", "beatles"),
        ("  an  apple, a pear ", "apple pear"),
        ("Arthur's Magazine", "arthurs magazine"),
        ("the U.S.", "us"),
        ("Port-au-Prince", "portauprince"),
        ("Brasília", "brasilia"),
        ("1,000,000", "1000000"),
        ("1,000 men", "1000 men"),
        ("$3.50", "3.50"),
        ("35", "35"),
        ("-3", "-3"),
        ("\N{MINUS SIGN}3", "-3"),
        (".5", ".5"),
        ("10:30", "10:30"),
        ("C++ and C#.", "c++ and c#"),
        ("a e t", "a e t"),
        ("The", "the"),
        ("snake_case", "snakecase"),
        ("?!", ""),
    ],
)
def test_normalized(text: str, plain: str) -> None:
    assert normalized(text) == plain


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("The U.S.", "US", True),
        ("the Beatles", "Beatles", True),
        ("3.5", "35", False),
        ("-3", "3", False),
        ("1,000", "1000", True),
        ("C++", "C", False),
        ("e t", "a e t", False),
        ("?", "!", False),
        ("?", " ? ", True),
    ],
)
def test_exact(text: str, reference: str, right: bool) -> None:
    assert score("exact", text, reference).score == right


@pytest.mark.parametrize(
    ("text", "reference", "f1"),  # as the scripts of HotpotQA and 2WikiMultihopQA compute them
    [
        ("Chief of Protocol", "Chief of Protocol", 1.0),
        ("the Chief of Protocol of the US", "Chief of Protocol", 0.75),
        ("Protocol chief", "Chief of Protocol", 0.8),
        ("yes", "Yes.", 1.0),
        ("yes it is", "yes", 0.0),
        ("no", "no man", 0.0),
        ("Greenwich Village, New York City", "Greenwich Village", 4 / 7),
        ("Animorphs", "Animorphs series", 2 / 3),
        ("Paris", "Rome", 0.0),
    ],
)
def test_f1_of_hotpotqa(text: str, reference: str, f1: float) -> None:
    assert score("f1", text, reference).score == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("It is the Seine, in Paris.", "Seine", True),
        ("It is in New  York City.", "new york", True),
        ("It is in York, not new.", "New York", False),
        ("Parisian", "Paris", False),
        ("13.5 km", "3.5", False),
        ("minus 3", "-3", False),
        ("", "Paris", False),
    ],
)
def test_contains(text: str, reference: str, right: bool) -> None:
    assert score("contains", text, reference).score == right


@pytest.mark.parametrize(
    ("text", "reference", "value"),
    [
        ("the Prado", "Prado", 1.0),
        ("The Prado in Madrid", "Prado Museum", 0.4),
        ("Louvre", "Prado", 0.0),
        ("Prado Prado", "Prado", 2 / 3),
        ("", "Prado", 0.0),
        ("!", "?", 0.0),
    ],
)
def test_f1(text: str, reference: str, value: float) -> None:
    assert score("f1", text, reference).score == pytest.approx(value)

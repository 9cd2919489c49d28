"""Python literals."""

import pytest

from evaluation.scoring import literal, score


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("[ANSWER]{'a': 1, 'b': 2}[/ANSWER]", "{'b': 2, 'a': 1}", True),
        ("```python\nassert f([1]) == [1, 2]\n```", "[1,2]", True),
        ("It is\n'xy'", '"xy"', True),
        ("[ANSWER]True[/ANSWER]", "1", False),
        ("[ANSWER]12[/ANSWER]", "21", False),
        ("", "''", False),
        ("[ANSWER]{{}}[/ANSWER]", "{}", False),
        ("[ANSWER]{[]: 1}[/ANSWER]", "{1: 1}", False),
        ("[ANSWER]'\\d'[/ANSWER]", "'\\\\d'", True),
        ("[ANSWER]{{}}[/ANSWER]", "{{}}", True),
    ],
)
def test_literal(text: str, reference: str, right: bool) -> None:
    assert score("literal", text, reference).score == right


def test_literals_of_any_depth_do_not_break_the_scorer() -> None:
    assert literal.same("[" * 5000, "1") is False

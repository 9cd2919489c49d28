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
        ("[ANSWER][1][/ANSWER]", "[True]", False),
        ("[ANSWER]{'a': [1, (0,)]}[/ANSWER]", "{'a': [1, (False,)]}", False),
        ("[ANSWER]{1: 'x'}[/ANSWER]", "{True: 'x'}", False),
        ("[ANSWER]{1, 2}[/ANSWER]", "{2, 1}", True),
        ("[ANSWER]{2: {'b': [1]}, 'a': {1}}[/ANSWER]", "{'a': {1}, 2: {'b': [1]}}", True),
        ("[ANSWER]1.0[/ANSWER]", "1", False),
        ("[ANSWER][1.0][/ANSWER]", "[1]", False),
        ("[ANSWER](1, 2)[/ANSWER]", "[1, 2]", False),
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

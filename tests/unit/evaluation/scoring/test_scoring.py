"""Which texts are right answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.scoring import boxed, choice, literal, number, score


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
    ("text", "found"),
    [
        ("2 + 2 is 4. #### 5", "5"),
        ("#### 1,234", "1,234"),
        ("It costs $18.", "18"),
        ("so \\boxed{42} apples, not 43", "42"),
        ("first 1, then 2, in the end 3.", "3"),
        ("minus: -7", "-7"),
        ("half: 1/2", "1/2"),
        ("version v2 has no answer", None),
        ("none", None),
        ("10.50", "10.50"),
        ("−5", "-5"),
    ],
)
def test_number_extraction(text: str, found: str | None) -> None:
    assert number.extract(text) == found


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("1,000", "1000.0", True),
        ("1/2", "0.5", True),
        ("18", "17", False),
        ("1/0", "1", False),
        ("7", "x #### 7", True),
    ],
)
def test_number_comparison(left: str, right: str, same: bool) -> None:
    assert number.same(left, right) is same


@given(st.integers(-(10**12), 10**12), st.sampled_from(["The answer is {}.", "#### {}", "\\boxed{{{}}}", "2 and {:,}"]))
def test_any_integer_is_found_where_answers_stand(value: int, frame: str) -> None:
    assert score("number", frame.format(value), str(value)).score == 1.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{1} and then \\boxed{x^{2}}", "x^{2}"),
        ("\\boxed{never closed", None),
        ("nothing", None),
    ],
)
def test_last_boxed(text: str, found: str | None) -> None:
    assert boxed.last_boxed(text) == found


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("\\dfrac{1}{2}", "\\frac12", True),
        ("\\frac{1}{2}", "0.5", True),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})", True),
        ("90^\\circ", "90", True),
        ("\\text{Evelyn}", "evelyn", True),
        ("10\\%", "10", True),
        ("x^{2}+1", "x^2+1", True),
        ("1,000", "1000", True),
        ("\\sqrt{2}", "\\sqrt{3}", False),
        ("(1,2)", "12", False),
    ],
)
def test_boxed_comparison(left: str, right: str, same: bool) -> None:
    assert boxed.same(left, right) is same


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("C", "C"),
        ("(b)", "B"),
        ("Answer: D", "D"),
        ("The answer is (A) because", "A"),
        ("The correct option is **B**.", "B"),
        ("A good question. I think C", "C"),
        ("B. Mitochondria", "B"),
        ("\\boxed{C}", "C"),
        ("A closer look shows nothing", None),
        ("none of them", None),
    ],
)
def test_choice_extraction(text: str, found: str | None) -> None:
    assert choice.extract(text) == found


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("[ANSWER]{'a': 1, 'b': 2}[/ANSWER]", "{'b': 2, 'a': 1}", True),
        ("```python\nassert f([1]) == [1, 2]\n```", "[1,2]", True),
        ("It is\n'xy'", '"xy"', True),
        ("[ANSWER]True[/ANSWER]", "1", False),
        ("[ANSWER]12[/ANSWER]", "21", False),
        ("", "''", False),
    ],
)
def test_literal(text: str, reference: str, right: bool) -> None:
    assert score("literal", text, reference).score == right


@given(st.text(max_size=200))
def test_no_text_breaks_a_scorer(text: str) -> None:
    for name in ("exact", "number", "boxed", "choice", "literal"):
        assert score(name, text, "1").score in (0.0, 1.0)


def test_literals_of_any_depth_do_not_break_the_scorer() -> None:
    assert literal.same("[" * 5000, "1") is False

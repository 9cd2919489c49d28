"""Extraction of short answers, and comparison of answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.scoring import boxed, choice, number
from serving.recipes.extraction import extracted

KINDS: tuple[Any, ...] = ("text", "number", "choice", "boxed")
LONG_CHARACTERS = 400_000


@pytest.mark.parametrize(
    ("text", "kind", "answer"),
    [
        ("  Paris. ", "text", "paris"),
        ("", "text", None),
        ("It is 1,024.50 or so, no: 3.0", "number", "3"),
        ("It is -0.5.", "number", "-1/2"),
        ("none", "number", None),
        ("9" * 4400, "number", "9" * 4400),
        ("1e999999999/3", "number", "1e999999999/3"),
        ("The answer is B. I am sure.", "choice", "B"),
        ("Answer: C\nA short reason follows.", "choice", "C"),
        ("I think B, because A is wrong", "choice", "B"),
        (r"so \boxed{\frac{1}{2}} holds", "boxed", "1/2"),
        (r"so \boxed{x^{2}} holds", "boxed", "x^2"),
        (r"\boxed{open", "boxed", None),
    ],
)
def test_short_answers_are_found(text: str, kind: Any, answer: str | None) -> None:
    assert extracted(text, kind) == answer


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        ("number", "It is -0.5", "It is 0.5", False),
        ("number", "It is .50", "so 1/2", True),
        ("number", "#### 1,000", "1000.0", True),
        ("boxed", r"\boxed{\dfrac12}", r"\boxed{0.5}", True),
        ("boxed", r"\boxed{-1}", r"\boxed{1}", False),
        ("choice", "(b)", "The answer is **B**.", True),
    ],
)
def test_equal_answers_compare_equal(kind: Any, one: str, other: str, same: bool) -> None:
    assert (extracted(one, kind) == extracted(other, kind)) is same


@given(st.integers(-(10**9), 10**9), st.integers(0, 999))
def test_votes_and_scores_agree_on_numbers(whole: int, thousandths: int) -> None:
    text, plain = f"So it is {whole:,}.{thousandths:03}", f"{whole}.{thousandths:03}"
    assert extracted(text, "number") == extracted(plain, "number")
    assert number.same(number.extract(text) or "", plain)


@given(st.text(max_size=200))
def test_there_is_one_rule_for_votes_and_scores(text: str) -> None:
    assert extracted(text, "choice") == choice.extract(text)
    for kind, scorer in (("number", number), ("boxed", boxed)):
        found: str | None = scorer.extract(text)
        assert (extracted(text, kind) is None) == (found is None)  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", ["9", " ", "1 ", "answer\n", "A ", "1e", "1/", "\\boxed{", "A\n", "#", "\\frac{"])
@pytest.mark.timeout(60)
def test_every_long_text_is_read_in_linear_time(piece: str) -> None:
    """Quadratic time would be many minutes at this length: the test would not end."""
    text = "answer " + piece * (LONG_CHARACTERS // len(piece))
    for kind in KINDS:
        extracted(text, kind)

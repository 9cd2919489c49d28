"""LaTeX answers in a box."""

import pytest

from evaluation.scoring import boxed


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
        ("3,5", "35", False),
        ("1,2,3", "123", False),
        ("1,234.5", "1234.5", True),
        ("\\frac{x+1}{2}", "x+\\frac{1}{2}", False),
        ("\\frac{x+1}{2}", "(x+1)/2", True),
        ("\\frac{1}{2x}", "1/(2x)", True),
        ("\\frac{-1}{2}", "-0.5", True),
        ("\\frac{\\sqrt{2}}{2}", "\\frac{\\sqrt2}2", True),
        ("3\\frac{1}{2}", "\\frac{31}{2}", False),
        ("3\\frac{1}{2}", "3.5", True),
        ("\\sqrt2", "\\sqrt{2}", True),
    ],
)
def test_boxed_comparison(left: str, right: str, same: bool) -> None:
    assert boxed.same(left, right) is same

"""Exact arithmetic, and the reasons for which a text has no value."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.tools.calculator import calculate
from evaluation.tools.errors import ToolError


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3817 * 246", "938982"),
        ("6441 / 339", "19"),
        ("0.1 + 0.2", "0.3"),
        ("7 / 8", "0.875"),
        ("-1 / 3", "-0.333333333333"),
        ("2 / 3", "0.666666666667"),
        ("-(2 + 3) * +4", "-20"),
        ("17 // 5 + 17 % 5", "5"),
        ("2 ** 10", "1024"),
        ("2 ^ -3", "0.125"),
        ("1,234,567 × 2 − 4 ÷ 2", "2469132"),
        (" 007.50 + 1.007 ", "8.507"),
        ("10 / 4 * 4", "10"),
        (f"{10**60} + 1", f"{10**60 + 1}"),
    ],
)
def test_values_are_exact(expression: str, value: str) -> None:
    assert calculate(expression) == value


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.sampled_from("+-*"))
def test_whole_numbers_agree_with_pythons(left: int, right: int, operator: str) -> None:
    expected = {"+": left + right, "-": left - right, "*": left * right}[operator]
    assert calculate(f"({left}) {operator} ({right})") == str(expected)


@given(st.integers(-(10**6), 10**6), st.integers(0, 6))
def test_decimals_keep_their_value(digits: int, places: int) -> None:
    exact = Fraction(digits, 10**places)
    assert Fraction(calculate(f"({digits}) / {10**places}")) == exact


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "may have numbers"),
        ("two + two", "may have numbers"),
        ("__import__('os')", "may have numbers"),
        ("1e9999", "may have numbers"),
        ("1 +", "cannot be read"),
        ("(1", "cannot be read"),
        ("1 1", "cannot be read"),
        ("()", "not arithmetic"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("2 ** 0.5", "whole number"),
        ("9 ** 9 ** 9", "too large"),
        ("*".join(["(9**1200)"] * 3), "too large"),
        ("1" * 201, "more than 200"),
    ],
)
def test_a_text_without_a_value_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        calculate(expression)


@given(st.text(alphabet="0123456789+-*/%(). ", max_size=60))
def test_any_text_has_a_number_or_is_refused(text: str) -> None:
    with suppress(ToolError):
        Fraction(calculate(text))

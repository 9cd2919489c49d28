"""Numbers in worked answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.scoring import number, score


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
        ("It takes 3 1/2 cups.", "3 1/2"),
        ("It takes -3 1/2.", "-3 1/2"),
        ("2 3/4 + 1 1/2 = 4 1/4", "4 1/4"),
        ("in round 2 7/3", "7/3"),
        ("on 3 1/2/2024", "2024"),
        ("−5", "-5"),
        ("The balance is -$5", "-5"),
        ("The balance is -\\$1,250.50", "-1,250.50"),
        ("from $5-$10", "10"),
        ("1\u202f000 pens", "1,000"),
        ("\\boxed{1\\,000}", "1000"),
        ("so \\boxed{\\frac{1}{2}} of 4", "1/2"),
        ("so \\boxed{\\text{12 pens}} of 40", "12"),
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
        ("3 1/2", "3.5", True),
        ("-3 1/2", "-3.5", True),
        ("3 1/2", "31/2", False),
        ("3 1/0", "3", False),
        ("1/0", "1", False),
        ("7", "x #### 7", True),
        ("3,5", "35", False),
    ],
)
def test_number_comparison(left: str, right: str, same: bool) -> None:
    assert number.same(left, right) is same


@given(st.integers(-(10**12), 10**12), st.sampled_from(["The answer is {}.", "#### {}", "\\boxed{{{}}}", "2 and {:,}"]))
def test_any_integer_is_found_where_answers_stand(value: int, frame: str) -> None:
    assert score("number", frame.format(value), str(value)).score == 1.0

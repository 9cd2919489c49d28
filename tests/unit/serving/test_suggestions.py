"""Suggestions for unknown words."""

import pytest

from serving.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "found"), [("prot", "port"), ("PORT", None), ("", None), ("port", "port"), ("x" * 10_000_000, None)]
)
def test_the_nearest_word_is_found_if_one_is_near(word: str, found: str | None) -> None:
    assert nearest(word, ("host", "port", "profile")) == found


def test_the_question_stands_within_a_sentence() -> None:
    assert did_you_mean("prot", ["port"]) == "did you mean 'port'? "
    assert did_you_mean("xyzzy", ["port"]) == ""

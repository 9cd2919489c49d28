"""Reasons of failures, and the end after many in a row."""

from collections import Counter

import pytest

from evaluation.errors import EvaluationError
from evaluation.failures import Failures, reason_of, summary


def test_reasons_are_counted_and_shown_with_the_most_frequent_first() -> None:
    failures = Failures("answers", 20)
    for error in ("late", "down", "down", None):
        failures.note(error, "arm 'a'", of_server=True)
    assert summary(failures.reasons) == "reasons:\n  2 × down\n  1 × late"


def test_only_consecutive_failures_of_the_server_end_a_command() -> None:
    failures = Failures("answers", 3)
    for _ in range(10):
        failures.note("TypeError: bad row", "arm 'a'", of_server=False)
    for error in ("down", "down", None, "down", "down"):
        failures.note(error, "arm 'a'", of_server=True)
    with pytest.raises(EvaluationError, match="3 consecutive answers failed, the last of arm 'a' with 'down'"):
        failures.note("down", "arm 'a'", of_server=True)


def test_many_reasons_are_abbreviated() -> None:
    lines = summary(Counter(f"reason {i}" for i in range(12))).splitlines()
    assert (len(lines), lines[-1]) == (12, "  and 2 other reasons")
    assert summary(Counter()) == ""


def test_a_reason_is_one_line_of_limited_length() -> None:
    assert reason_of(ValueError("a\n  b")) == "ValueError: a b"
    assert reason_of(KeyError()) == "KeyError"
    assert len(reason_of(ValueError("x" * 5000))) == 300

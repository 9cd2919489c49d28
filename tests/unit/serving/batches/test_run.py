"""Pauses of lines that are tried again."""

import pytest

from serving.batches.parts import LineAnswer
from serving.batches.run import pause_after


@pytest.mark.parametrize(
    ("status", "retry_after_s", "growing_s", "pause_s"),
    [
        (429, 1, 32, 1),  # a limit says itself when it ends
        (429, 43_200, 1, 60),  # a budget, which an operator may raise
        (429, None, 4, 4),
        (503, 1, 32, 32),
        (502, None, 2, 2),
    ],
)
def test_a_line_waits_as_long_as_its_refusal_says(
    status: int, retry_after_s: float | None, growing_s: float, pause_s: float
) -> None:
    assert pause_after(LineAnswer(status, b"{}", retry_after_s), growing_s) == pause_s

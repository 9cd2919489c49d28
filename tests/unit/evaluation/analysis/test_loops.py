"""Numbers of tool loops, computed by hand from a few rows."""

import pytest

from evaluation.analysis.loops import loops
from evaluation.rows import CallRow, Fault, Row, StepRow
from tests.support.rows import row


def step(
    *faults: Fault | None, proposers: int | None = None, prompt: int | None = 100, cached: int | None = 0
) -> StepRow:
    calls = tuple(CallRow(name="t", arguments="{}", fault=fault) for fault in faults)
    return StepRow(calls=calls, proposers=proposers, prompt_tokens=prompt, cached_tokens=cached)


def loop(arm: str, item: str, *steps: StepRow, **fields: object) -> Row:
    return row(arm, item, fields.pop("text", "yes"), steps=steps, **fields)  # type: ignore[arg-type]


def test_an_arm_without_tools_has_no_loops() -> None:
    rows = [row("a", "1", "yes"), loop("b", "1", step())]
    assert [entry.arm for entry in loops([rows[0]], ["a"])] == []
    other = row("c", "1", "yes", dataset="other")
    assert [entry.arm for entry in loops([rows[1], other], ["b", "c"])] == ["b"]


def test_means_are_per_loop_and_shares_per_item() -> None:
    rows = [
        loop("a", "1", step(None, None), step(), expected_first=True),
        loop("a", "2", step("json"), step(None), step(), expected_first=False, text="no"),
        loop("a", "3", step(), expected_first=None),
    ]
    (found,) = loops(rows, ["a"])
    assert found.right is not None
    assert found.right.value == pytest.approx(2 / 3)
    assert found.first_calls is not None
    assert (found.first_calls.value, found.first_calls.n) == (0.5, 2)
    assert found.valid_calls is not None
    assert (found.valid_calls.value, found.valid_calls.n) == ((1.0 + 0.5) / 2, 2)
    assert (found.requests, found.calls) == (2.0, 4 / 3)
    assert (found.panels, found.unended) == (None, 0)


def test_requests_that_asked_the_proposers_are_counted() -> None:
    rows = [
        loop("a", "1", step(None, proposers=3), step(proposers=0)),
        loop("a", "2", step(None, proposers=3), step(proposers=3)),
        loop("a", "3", step(proposers=None)),
    ]
    assert loops(rows, ["a"])[0].panels == 1.5


def test_the_cached_share_is_of_the_second_requests_with_known_counts() -> None:
    rows = [
        loop("a", "1", step(None, cached=50), step(prompt=200, cached=180), step(cached=99)),
        loop("a", "2", step(None), step(prompt=100, cached=60)),
        loop("a", "3", step(None), step(prompt=None, cached=None)),
        loop("a", "4", step()),
        loop("a", "5", StepRow(turn=1), StepRow(turn=2, prompt_tokens=10, cached_tokens=10)),
    ]
    assert loops(rows, ["a"])[0].second_cached == pytest.approx(240 / 300)
    assert loops(rows[3:4], ["a"])[0].second_cached is None


def test_a_loop_at_its_bound_is_unended_and_a_failed_one_is_wrong() -> None:
    rows = [
        loop("a", "1", step(None), step(None), text=""),
        loop("a", "2", step(None), step()),
        loop("a", "3", step(None), error="503: gone", score=None),
    ]
    (found,) = loops(rows, ["a"])
    assert found.right is not None
    assert (found.right.value, found.right.n, found.unended, found.requests) == (1 / 3, 3, 1, 2.0)


def test_an_arm_that_failed_everywhere_has_no_means() -> None:
    rows = [loop("b", "1", step()), row("a", "1", "", error="400: no tools", score=None)]
    found = loops(rows, ["a", "b"])[0]
    assert found.right is not None
    assert (found.arm, found.right.value, found.requests, found.calls, found.panels) == ("a", 0.0, None, None, None)

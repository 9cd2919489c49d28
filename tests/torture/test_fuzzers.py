"""Fuzzers with a fixed number of inputs, the same in each run."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from loadtest.torture import fuzz_targets, fuzzers
from loadtest.torture.fuzz_inputs import INPUTS
from loadtest.torture.fuzz_targets import TARGETS, Broken
from serving.sse import Event, EventParser

EXAMPLES = 150


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_the_server(name: str) -> None:
    target = TARGETS[name]
    checks = settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )

    @checks
    @given(INPUTS[name])
    def each(data: bytes) -> None:
        target(data)

    each()


def test_each_target_has_inputs() -> None:
    assert set(INPUTS) == set(TARGETS)


def test_a_fuzzer_finds_what_breaks_and_says_with_which_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(data: bytes) -> None:
        if b"\r" in data:
            raise Broken("a carriage return")

    monkeypatch.setattr(fuzzers, "TARGETS", {"events": breaks})
    count, failure = fuzzers.run_hypothesis("events", 20)
    assert count > 0
    assert failure.startswith("Broken with b'")
    assert "\\r" in failure


def test_a_status_of_500_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def post(self, path: str, body: bytes) -> tuple[int, bytes]:
            return (500, b"{}") if body else (400, b"{}")

    failing: Any = Failing()
    monkeypatch.setattr(fuzz_targets, "_server", lambda: failing)
    target = fuzz_targets.body_target("/v1/x")
    with pytest.raises(Broken, match="answered 500"):
        target(b"x")
    with pytest.raises(Broken, match="without an error object"):
        target(b"")


def test_events_that_differ_by_where_they_are_cut_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgets(EventParser):
        def feed(self, chunk: bytes) -> list[Event]:
            return [Event(chunk)] if len(chunk) > 1 else []

    monkeypatch.setattr(fuzz_targets, "EventParser", Forgets)
    with pytest.raises(Broken):
        fuzz_targets.events(b"data: x\n\n")


def test_inputs_of_bodies_are_mostly_json_with_fields_of_the_dialect() -> None:
    seen: list[bool] = []

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(INPUTS["/v1/chat/completions"])
    def each(data: bytes) -> None:
        try:
            seen.append(set(json.loads(data)) >= {"model", "messages"})
        except ValueError:
            seen.append(False)

    each()
    assert sum(seen) > len(seen) / 2

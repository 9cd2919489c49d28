"""Outcomes of streams, and the observer that records nothing."""

import asyncio
import inspect

import pytest

from serving.errors import DeadlineExceeded, EngineFailed
from serving.telemetry import Observer, RequestEnd, StreamOutcome
from serving.types import AgentTrace, Delta, Report
from serving.usage import TokenUsage
from tests.support.clock import simulated_time

END = Delta(finish_reason="stop", usage=TokenUsage(3, 2, 0))


def report_of(answer: TokenUsage | None) -> Report:
    return Report("r", False, (), (), TokenUsage(9, 90), answer)


def add_and_raise(outcome: StreamOutcome, delta: Delta, error: BaseException) -> None:
    with outcome:
        outcome.add(delta)
        raise error


@simulated_time
async def test_a_stream_that_ends_is_ok_with_its_usage_and_times() -> None:
    outcome = StreamOutcome()
    with outcome:
        await asyncio.sleep(1)
        outcome.add(Delta(""))  # no text yet
        await asyncio.sleep(1)
        outcome.add(Delta("a"))
        await asyncio.sleep(1)
        outcome.add(Delta("b"))
        outcome.add(END)
    assert (outcome.code, outcome.degraded, outcome.usage) == ("ok", False, TokenUsage(3, 2, 0))
    assert (outcome.ttft_s, outcome.total_s) == (2, 3)


@pytest.mark.parametrize(
    ("deltas", "tokens"),
    [
        ([Delta("a"), END], 2),
        ([Delta("a"), Delta(finish_reason="stop", usage=TokenUsage(9, 90), report=report_of(TokenUsage(3, 5)))], 5),
        ([Delta("a"), Delta(finish_reason="stop", usage=TokenUsage(9, 90), report=report_of(None))], 90),
        ([Delta("a"), Delta("b", index=1), END], None),
        ([Delta("a"), Delta(finish_reason="stop", usage=TokenUsage(3, None))], None),
        ([Delta("a")], None),
    ],
    ids=["a model", "a team: of the call that wrote the answer", "no call", "choices", "not counted", "left"],
)
async def test_tokens_of_an_answer_are_those_of_the_call_that_wrote_it(deltas: list[Delta], tokens: int | None) -> None:
    outcome = StreamOutcome()
    with outcome:
        for delta in deltas:
            outcome.add(delta)
    assert outcome.answer_tokens == tokens


@pytest.mark.parametrize(
    ("outcome", "ttft_s", "tokens", "tpot_s"),
    [
        ("ok", 0.5, 6, 0.3),
        ("ok", 0.5, 1, None),
        ("ok", 0.5, None, None),
        ("ok", None, 6, None),
        ("cancelled", 0.5, 6, None),
    ],
)
def test_time_per_output_token_begins_with_the_second(
    outcome: str, ttft_s: float | None, tokens: int | None, tpot_s: float | None
) -> None:
    end = RequestEnd("m", "model", outcome, False, TokenUsage(), ttft_s, 2.0, tokens)
    assert end.tpot_s == tpot_s


@pytest.mark.parametrize(
    ("report", "degraded"), [(Report("r", True, ("why",), ()), True), (Report("r", False, (), ()), False)]
)
async def test_a_degraded_answer_is_seen_in_its_report(report: Report, degraded: bool) -> None:
    outcome = StreamOutcome()
    with outcome:
        outcome.add(Delta("a", finish_reason="stop", usage=TokenUsage(), report=report))
    assert (outcome.code, outcome.degraded) == ("ok", degraded)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineFailed("m", "it broke"), "engine_failed"),
        (DeadlineExceeded("'m'", 1), "deadline_exceeded"),
        (ValueError("a defect"), "internal_error"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
async def test_a_stream_that_raises_has_the_code_of_its_error(error: BaseException, code: str) -> None:
    outcome = StreamOutcome()
    with pytest.raises(type(error)):
        add_and_raise(outcome, Delta("a"), error)
    assert (outcome.code, outcome.usage, outcome.degraded) == (code, None, False)


async def test_a_stream_that_is_left_before_its_end_is_cancelled() -> None:
    outcome = StreamOutcome()
    with outcome:
        outcome.add(Delta("a"))
    assert (outcome.code, outcome.usage) == ("cancelled", None)


async def test_an_error_after_the_terminal_delta_is_the_outcome() -> None:
    outcome = StreamOutcome()
    with pytest.raises(EngineFailed):
        add_and_raise(outcome, END, EngineFailed("m", "it continued"))
    assert outcome.code == "engine_failed"


async def test_a_caller_that_leaves_after_the_terminal_delta_has_its_answer() -> None:
    outcome = StreamOutcome()
    with pytest.raises(GeneratorExit):
        add_and_raise(outcome, END, GeneratorExit())
    assert (outcome.code, outcome.ttft_s) == ("ok", None)


def test_every_hook_of_an_observer_can_be_left_alone() -> None:
    observer = Observer()
    trace = AgentTrace(1, 0, "proposer", "m", "ok")
    calls = {
        "request_refused": ("invalid_request",),
        "caller_admitted": ("key-1", "standard", 1),
        "caller_refused": ("key-1", "standard"),
        "caller_running": ("key-1", "standard", 2),
        "store_checked": ("database", True),
        "records_lost": (1,),
        "limits_without_store": ("allow",),
        "batch_lines": (1, 2),
        "batch_line_ended": ("completed",),
        "batch_ended": ("completed",),
        "cache_used": ("m", "hit", 100),
        "key_used": ("key-1", TokenUsage()),
        "spent": ("key-1", 0.5),
        "key_budget": ("key-1", 0.5),
        "answer_rated": ("m", 1.0),
        "answer_graded": ("m", 3, 0.5),
        "answer_not_graded": ("full",),
        "request_started": ("m",),
        "request_ended": (RequestEnd("m", "model", "ok", False, TokenUsage(), 0.1, 0.2),),
        "agent_ended": ("team", trace),
        "hedged": ("team", "m"),
        "voted": ("team", True),
        "refilled": ("team", "m"),
        "prefilled": ("team", "m", "layer", True),
    }
    hooks = {name for name, _ in inspect.getmembers(Observer, inspect.isfunction) if not name.startswith("_")}
    assert hooks == set(calls)
    assert [getattr(observer, name)(*given) for name, given in calls.items()] == [None] * len(calls)

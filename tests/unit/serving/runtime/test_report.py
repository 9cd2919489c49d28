"""The report of a run: usage, order, degradation and its reasons."""

from typing import Any

import pytest

from serving.runtime.report import ReportBuilder
from serving.types import AgentTrace
from serving.usage import UNKNOWN_USAGE, TokenUsage


def trace(layer: int = 1, agent: int = 0, **fields: Any) -> AgentTrace:
    return AgentTrace(layer, agent, "proposer", "m", **{"status": "ok", "usage": TokenUsage(10, 5, 2), **fields})


def report_of(*traces: AgentTrace) -> ReportBuilder:
    builder = ReportBuilder("team")
    for one in traces:
        builder.add(one)
    return builder


def test_usage_is_the_sum_of_all_agents() -> None:
    assert report_of(trace(), trace(agent=1), trace(2)).usage == TokenUsage(30, 15, 6)
    assert ReportBuilder("team").usage == TokenUsage(0, 0, 0)


@pytest.mark.parametrize("unknown", [UNKNOWN_USAGE, TokenUsage(None, 5, 0), TokenUsage(10, None, 0)])
def test_an_agent_of_unknown_count_is_left_out_and_named_without_degrading(unknown: TokenUsage) -> None:
    builder = report_of(trace(), trace(agent=1, usage=unknown))
    assert builder.usage == TokenUsage(10, 5, 2)
    assert builder.reasons == ["The tokens of 'm' (proposer, layer 1) are not known, and not in the usage."]
    assert not builder.degraded


def test_an_unknown_number_of_cached_tokens_counts_as_none() -> None:
    builder = report_of(trace(usage=TokenUsage(10, 5, None)), trace(agent=1))
    assert builder.usage == TokenUsage(20, 10, 2)
    assert builder.reasons == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "failed", "error": "It broke."}, "'m' (proposer, layer 1) failed."),
        ({"status": "timeout", "error": "Late."}, "'m' (proposer, layer 1) did not answer in time."),
        ({"status": "empty"}, "'m' (proposer, layer 1) gave an empty answer."),
        ({"status": "empty", "reasoning": "Hm."}, "'m' (proposer, layer 1) gave reasoning, but no answer."),
        ({"status": "straggler"}, "'m' (proposer, layer 1) was slower than the others, which did not wait for it."),
        ({"shortened": 2}, "2 proposals were shortened to fit the context of 'm'."),
    ],
)
def test_a_failure_or_a_shortened_reference_degrades_and_is_named(fields: dict[str, Any], reason: str) -> None:
    builder = report_of(trace(**fields))
    assert builder.degraded
    assert builder.reasons == [reason]


def test_a_cancelled_agent_does_not_degrade() -> None:
    builder = report_of(trace(status="cancelled", usage=UNKNOWN_USAGE))
    assert not builder.degraded
    assert builder.reasons == ["The tokens of 'm' (proposer, layer 1) are not known, and not in the usage."]


def test_other_attempts_are_named_because_their_tokens_are_unknown() -> None:
    builder = report_of(trace(uncounted=1))
    assert builder.reasons == [
        "The tokens of other attempts of 'm' (proposer, layer 1) are not known, and not in the usage."
    ]
    assert not builder.degraded


def test_every_reason_is_given_once_in_order() -> None:
    failed = {"status": "failed", "error": "It broke."}
    builder = report_of(trace(**failed), trace(agent=1, shortened=1), trace(agent=2, **failed))
    builder.degrade("the judge gave no verdict")
    builder.degrade("the judge gave no verdict")
    assert builder.reasons == [
        "'m' (proposer, layer 1) failed.",
        "1 proposal was shortened to fit the context of 'm'.",
        "the judge gave no verdict",
    ]


def test_agents_are_reported_by_layer_position_and_start() -> None:
    ended_in = [trace(2), trace(1, 1), trace(1, 0, started_s=0.5), trace(1, 0, started_s=0.1)]
    report = report_of(*ended_in).report()
    assert (report.recipe, report.degraded, report.reasons) == ("team", False, ())
    assert report.agents == (ended_in[3], ended_in[2], ended_in[1], ended_in[0])


@pytest.mark.parametrize(
    ("role", "finish_reason", "reason"),
    [
        ("proposer", "length", "The answer of 'm' (proposer, layer 1) was cut at its token limit."),
        ("proposer", "content_filter", "The answer of 'm' (proposer, layer 1) was cut by a content filter."),
        ("executor", "length", "The answer of 'm' (executor, layer 1) was cut at its token limit."),
        ("proposer", "stop", None),
        ("proposer", "tool_calls", None),
        ("aggregator", "length", None),  # the caller sees the answer's own finish reason
        ("judge", "length", None),  # its verdict is all that is read
    ],
)
def test_an_answer_that_was_cut_before_others_read_it_is_told(
    role: str, finish_reason: Any, reason: str | None
) -> None:
    report = ReportBuilder("r")
    report.add(AgentTrace(1, 0, role, "m", "ok", usage=TokenUsage(10, 5, 2), finish_reason=finish_reason))
    assert report.reasons == ([] if reason is None else [reason])
    assert not report.degraded

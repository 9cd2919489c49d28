"""Answers as JSON and as chunks of a stream."""

import json
import math
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import sse
from serving.api.dialects.chat_answers import AnswerInfo, ChunkEncoder, completion_json, without_reasoning
from serving.conversation import ToolCall, ToolCallDelta
from serving.errors import EngineFailed
from serving.types import AgentTrace, Choice, Completion, Delta, Report, Timing, TokenLogprob
from serving.usage import TokenUsage

INFO = AnswerInfo('chatcmpl-"1"', 1_700_000_000, 'qwen/"q"')
AGENT = AgentTrace(
    2,
    1,
    "proposer",
    "m",
    "timeout",
    "x",
    TokenUsage(1, None, 0),
    0.0125,
    Timing(0.001, None, 2),
    "late",
    elapsed_s=2.25,
)
REPORT = Report(
    "team", True, ("m was late.",), (AGENT, AgentTrace(1, 0, "proposer", "n", "ok")), TokenUsage(30, 9, 4, 1)
)
TEAM_USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 9,
    "total_tokens": 39,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def encoder(
    choices: int = 1, include_usage: bool = False, trace: bool = False, continuous_usage: bool = False
) -> ChunkEncoder:
    return ChunkEncoder(INFO, choices, include_usage, trace, continuous_usage)


def parsed(data: bytes) -> list[Any]:
    assert data.endswith(sse.END) or not data
    return [json.loads(event.removeprefix(sse.START)) for event in data.split(sse.END) if event]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_is_one_event_and_comes_back(text: str) -> None:
    data = encoder().encode(Delta(text))
    assert data.count(sse.END) == 1
    assert b"\n" not in data.removesuffix(sse.END)
    assert b"\r" not in data
    (chunk,) = parsed(data)
    assert chunk == {
        "id": INFO.id,
        "object": "chat.completion.chunk",
        "created": INFO.created,
        "model": INFO.model,
        "choices": [{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}],
    }


@given(st.text(st.characters(categories=["Cs", "Ll"]), min_size=1))
def test_lone_surrogates_never_break_a_stream_or_an_answer(text: str) -> None:
    safe = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    (chunk,) = parsed(encoder().encode(Delta(text)))
    assert chunk["choices"][0]["delta"]["content"] == safe
    answer = completion_json(INFO, Completion((Choice(text, "stop"),), TokenUsage()), False)
    assert answer["choices"][0]["message"]["content"] == safe


def test_the_stream_opens_with_a_role_for_each_choice() -> None:
    choices = [chunk["choices"] for chunk in parsed(encoder(2).opening())]
    opened = {"role": "assistant", "content": "", "refusal": None}
    assert choices == [[{"index": i, "delta": opened, "logprobs": None, "finish_reason": None}] for i in (0, 1)]


def test_a_delta_that_says_nothing_is_no_event() -> None:
    assert encoder().encode(Delta()) == b""


def test_the_end_is_text_then_finish_then_usage() -> None:
    end = Delta("bye", finish_reason="length", usage=TokenUsage(5, 7, 2))
    text, finish, usage = parsed(encoder(include_usage=True).encode(end))
    assert text["choices"][0]["delta"] == {"content": "bye"}
    assert finish["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}]
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert text["usage"] is None
    assert finish["usage"] is None


def test_usage_is_not_mentioned_where_it_is_not_asked_for() -> None:
    for chunk in parsed(encoder().encode(Delta("x", finish_reason="stop", usage=TokenUsage(1, 1, 0)))):
        assert "usage" not in chunk


def test_a_lost_count_stays_null() -> None:
    *_, last = parsed(
        encoder(include_usage=True).encode(Delta(finish_reason="stop", usage=TokenUsage(5, None, None, None)))
    )
    assert last["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": None,
        "total_tokens": None,
        "prompt_tokens_details": {"cached_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": None},
    }


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("finish_reason", ["stop", None])
def test_moa_is_in_the_last_chunk_alone(include_usage: bool, finish_reason: Any) -> None:
    end = Delta("x", finish_reason=finish_reason, usage=TokenUsage(1, 1, 0), report=REPORT)
    *others, last = parsed(encoder(include_usage=include_usage).encode(end))
    assert last["moa"] == {"recipe": "team", "degraded": True, "reasons": ["m was late."], "usage": TEAM_USAGE}
    assert others
    assert not any("moa" in chunk for chunk in others)


@pytest.mark.parametrize("trace", [False, True])
def test_every_answer_with_a_report_has_moa(trace: bool) -> None:
    fine = Report("team", False, (), ())
    for report in (None, fine, REPORT):
        delta = Delta(finish_reason="stop", usage=TokenUsage(), report=report)
        [end] = parsed(encoder(trace=trace).encode(delta))
        assert ("moa" in end) is (report is not None)
        assert ("trace" in end.get("moa", {})) is (trace and report is not None)


@pytest.mark.parametrize("include_usage", [False, True])
def test_continuous_usage_is_in_every_chunk_and_ends_with_the_final_numbers(include_usage: bool) -> None:
    encode = encoder(include_usage=include_usage, continuous_usage=True)
    opening = parsed(encode.opening())
    pieces = parsed(
        encode.encode(Delta(reasoning="r", running_usage=TokenUsage(7, 1, 0, 1)))
        + encode.encode(Delta(" "))  # a piece whose count is not known
        + encode.encode(Delta("x", running_usage=TokenUsage(7, 3, 0, 1)))
    )
    end = parsed(encode.encode(Delta("y", finish_reason="stop", usage=TokenUsage(7, 4, 0, 1), report=REPORT)))
    assert [chunk["usage"] for chunk in opening] == [None]
    assert [chunk["usage"]["completion_tokens"] for chunk in pieces] == [1, 1, 3]
    assert {chunk["usage"]["prompt_tokens"] for chunk in pieces} == {7}
    assert [chunk["usage"]["total_tokens"] for chunk in end] == [11] * (3 if include_usage else 2)
    assert (end[-1]["choices"] == []) is include_usage
    assert end[-1]["moa"]["usage"] == TEAM_USAGE


def test_without_continuous_usage_no_piece_has_it() -> None:
    for chunk in parsed(encoder().encode(Delta("x", running_usage=TokenUsage(7, 3)))):
        assert "usage" not in chunk


def test_continuous_usage_of_two_choices_is_their_sum() -> None:
    encode = encoder(2, continuous_usage=True)
    data = encode.encode(Delta("a", 0, finish_reason="stop", running_usage=TokenUsage(7, 2)))
    data += encode.encode(Delta("b", 1, finish_reason="stop", usage=TokenUsage(7, 5)))
    assert [chunk["usage"]["completion_tokens"] for chunk in parsed(data)] == [2, 2, 5, 5]


def test_a_trace_is_per_layer_and_agent_in_milliseconds() -> None:
    end = Delta(finish_reason="stop", usage=TokenUsage(), report=REPORT)
    first, second = parsed(encoder(trace=True).encode(end))[-1]["moa"]["trace"]
    assert (first["layer"], [agent["model"] for agent in first["agents"]]) == (1, ["n"])
    assert second == {
        "layer": 2,
        "agents": [
            {
                "agent": 1,
                "role": "proposer",
                "model": "m",
                "outcome": "timeout",
                "text": "x",
                "usage": {
                    "prompt_tokens": 1,
                    "completion_tokens": None,
                    "total_tokens": None,
                    "prompt_tokens_details": {"cached_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 0},
                },
                "started_ms": 12.5,
                "elapsed_ms": 2250.0,
                "queue_ms": 1.0,
                "ttft_ms": None,
                "total_ms": 2000.0,
                "error": "late",
                "hedged": False,
                "shortened": 0,
                "finish_reason": None,
            }
        ],
    }


def test_logprobs_are_in_openais_shape_and_finite() -> None:
    token = TokenLogprob("é", -0.5, "é".encode(), (TokenLogprob("é", -0.5), TokenLogprob("e", -math.inf)))
    (chunk,) = parsed(encoder().encode(Delta("é", logprobs=(token,))))
    logprobs = {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [
                    {"token": "é", "logprob": -0.5, "bytes": None},
                    {"token": "e", "logprob": -9999.0, "bytes": None},
                ],
            }
        ],
        "refusal": None,
    }
    assert chunk["choices"][0]["logprobs"] == logprobs
    answer = completion_json(INFO, Completion((Choice("é", "stop", (token,)),), TokenUsage()), False)
    assert answer["choices"][0]["logprobs"] == logprobs


def test_choices_that_have_not_finished_are_known() -> None:
    two = encoder(2)
    two.encode(Delta("a", 0))
    two.encode(Delta(index=1, finish_reason="stop"))
    assert two.unfinished == {0}


@pytest.mark.parametrize("index", [2, 7, -1])
@pytest.mark.parametrize("end", [{"text": "x"}, {"finish_reason": "stop"}])
def test_a_choice_that_nobody_asked_for_is_the_engines_fault(index: int, end: dict[str, Any]) -> None:
    with pytest.raises(EngineFailed, match=f"index {index}, but was asked for 2 choices"):
        encoder(choices=2).encode(Delta(index=index, **end))


def test_reasoning_and_calls_of_a_whole_answer() -> None:
    calls = (ToolCall("c1", "f", '{"a": 1}'),)
    choices = (
        Choice("", "tool_calls", None, "Hm.", calls),
        Choice("Wait.", "tool_calls", None, "", calls),
        Choice("", "stop"),
    )
    first, second, third = completion_json(INFO, Completion(choices, TokenUsage()), False)["choices"]
    wire = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    opened = {"role": "assistant", "content": None, "refusal": None}
    assert first["message"] == {**opened, "reasoning_content": "Hm.", "reasoning": "Hm.", "tool_calls": wire}
    assert second["message"] == {**opened, "content": "Wait.", "tool_calls": wire}
    assert third["message"] == {**opened, "content": ""}
    assert first["finish_reason"] == "tool_calls"


def test_a_delta_of_everything_is_reasoning_then_text_then_calls_then_its_end() -> None:
    pieces = (ToolCallDelta(0, "c1", "f", "{"), ToolCallDelta(0, arguments="}"))
    delta = Delta("text", 1, None, "tool_calls", reasoning="\ud800Hm", tool_calls=pieces)
    deltas = [chunk["choices"][0] for chunk in parsed(encoder(2).encode(delta))]
    assert {choice["index"] for choice in deltas} == {1}
    assert [choice["delta"] for choice in deltas] == [
        {"reasoning_content": "\ufffdHm", "reasoning": "\ufffdHm"},
        {"content": "text"},
        {
            "tool_calls": [
                {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}},
                {"index": 0, "function": {"arguments": "}"}},
            ]
        },
        {},
    ]
    assert [choice["finish_reason"] for choice in deltas] == [None, None, None, "tool_calls"]


def test_a_trace_has_reasoning_and_calls_of_agents_that_have_them() -> None:
    agent = AgentTrace(1, 0, "proposer", "m", "ok", reasoning="Hm.", tool_calls=(ToolCall("c1", "f", "{}"),))
    report = Report("team", False, (), (agent, AgentTrace(1, 1, "proposer", "n", "ok")))
    end = Delta(finish_reason="stop", usage=TokenUsage(), report=report)
    with_calls, without = parsed(encoder(trace=True).encode(end))[-1]["moa"]["trace"][0]["agents"]
    assert with_calls["reasoning"] == "Hm."
    assert with_calls["tool_calls"] == [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert not {"reasoning", "tool_calls"} & set(without)


async def test_reasoning_can_be_left_out_of_deltas_and_trace() -> None:
    report = Report("team", False, (), (AgentTrace(1, 0, "proposer", "m", "ok", "text", reasoning="Hm."),))

    async def stream() -> AsyncGenerator[Delta, None]:
        yield Delta("a", reasoning="Hm.")
        yield Delta(finish_reason="stop", usage=TokenUsage(reasoning_tokens=3), report=report)

    text, end = [delta async for delta in without_reasoning(stream())]
    assert text == Delta("a")
    assert end.report.agents == (AgentTrace(1, 0, "proposer", "m", "ok", "text"),)
    assert end.usage.reasoning_tokens == 3

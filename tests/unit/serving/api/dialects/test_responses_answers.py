"""Events and bodies of Responses answers; each of them must be one of OpenAI's types."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from serving.api.dialects.openai_json import usage_json as openai_usage
from serving.api.dialects.responses_answers import ResponsesAnswer
from serving.api.dialects.responses_json import head_json
from serving.api.dialects.responses_requests import parse_responses
from serving.api.dialects.sealed import unseal
from serving.api.settings import ApiSettings
from serving.conversation import ToolCallDelta
from serving.engine import collect
from serving.errors import ContextTooLong, DeadlineExceeded, EngineFailed, InvalidRequest, Overloaded
from serving.types import Delta, Report, TokenLogprob
from serving.usage import TokenUsage
from tests.unit.serving.api.dialects.test_chat_requests import encoded
from tests.unit.serving.test_engine import stream

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
END = Delta(finish_reason="stop", usage=TokenUsage(20, 5, 8, 2))
CALL = (
    Delta(tool_calls=(ToolCallDelta(0, "c0", "f", '{"a"'),)),
    Delta(tool_calls=(ToolCallDelta(0, arguments=": 1}"),)),
    Delta(tool_calls=(ToolCallDelta(1, "c1", "g"),)),
)


def answer_of(sealed: bool = False, trace: bool = False, **fields: Any) -> ResponsesAnswer:
    body = parse_responses(encoded({"model": "m", "input": "hi", **fields}), ApiSettings())
    return ResponsesAnswer("resp_1", "m", head_json(body, 1_700_000_000), sealed, trace)


def parsed(data: bytes) -> list[Any]:
    """Events of a stream; the name of each is its type."""
    events = []
    for event in data.decode().split("\n\n")[:-1]:
        name, _, line = event.partition("\n")
        events.append(json.loads(line.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def events_of(*deltas: Delta, answer: ResponsesAnswer | None = None, error: Exception | None = None) -> list[Any]:
    """Events of an answer, which are valid and numbered."""
    encoder = (answer or answer_of()).events()
    data = encoder.opening() + b"".join(map(encoder.encode, deltas)) + encoder.closing()
    if error is not None:
        data += encoder.failure(error)
    events = parsed(data)
    if not isinstance(error, ContextTooLong):
        for event in events:
            EVENTS.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert bool(encoder.unfinished) == (error is not None)
    return events


def kinds(events: Sequence[Any]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def folded(events: Sequence[Any]) -> list[Any]:
    """Output items, put together from the events before the last one."""
    items: list[Any] = []
    for event in events:
        match event["type"].removeprefix("response."):
            case "output_item.added":
                assert event["output_index"] == len(items)
                items.append(event["item"])
            case "content_part.added":
                items[event["output_index"]]["content"].append(event["part"])
            case "output_text.delta" | "reasoning_text.delta":
                items[event["output_index"]]["content"][event["content_index"]]["text"] += event["delta"]
            case "function_call_arguments.delta":
                items[event["output_index"]]["arguments"] += event["delta"]
            case "output_item.done":
                item = items[event["output_index"]]
                assert {**item, "status": "completed"} | {"encrypted_content": None} == {
                    **event["item"],
                    "status": "completed",
                } | {"encrypted_content": None}
    return items


def test_text_has_its_events_in_order() -> None:
    events = events_of(Delta("Hel"), Delta("lo"), END)
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.get("delta") for event in events if "delta" in event] == ["Hel", "lo"]
    assert events[6]["text"] == "Hello"
    assert {event["item_id"] for event in events[3:8]} == {"msg_1_0"} == {events[2]["item"]["id"]}
    response = events[-1]["response"]
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    assert response["output"] == [
        {"id": "msg_1_0", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    ]
    assert response["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 25,
    }


def test_reasoning_text_and_calls_are_items() -> None:
    end = Delta(finish_reason="tool_calls", usage=TokenUsage(1, 2))
    events = events_of(Delta(reasoning="Hm"), Delta(reasoning="."), Delta("I look."), *CALL, end)
    assert kinds(events)[2:9] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert kinds(events)[15:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    reasoning, message, first, second = events[-1]["response"]["output"]
    assert reasoning == {
        "id": "rs_1_0",
        "type": "reasoning",
        "status": "completed",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}],
        "encrypted_content": None,
    }
    assert message["content"][0]["text"] == "I look."
    assert first == {
        "id": "fc_1_2",
        "type": "function_call",
        "status": "completed",
        "call_id": "c0",
        "name": "f",
        "arguments": '{"a": 1}',
    }
    assert (second["call_id"], second["name"], second["arguments"]) == ("c1", "g", "")
    assert len(folded(events)) == 4


def test_sealed_reasoning_comes_with_the_whole_item() -> None:
    events = events_of(Delta(reasoning="Hm."), Delta("a"), END, answer=answer_of(sealed=True))
    added, done = (
        event["item"]
        for event in events
        if event["type"].startswith("response.output_item.") and event["output_index"] == 0
    )
    assert added["encrypted_content"] is None
    assert unseal(done["encrypted_content"]) == "Hm."


def test_an_answer_that_was_cut_is_incomplete() -> None:
    events = events_of(Delta("a"), Delta(finish_reason="length", usage=TokenUsage(1, 2)))
    response = events[-1]["response"]
    assert events[-1]["type"] == "response.incomplete"
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert response["output"][0]["status"] == "incomplete"
    events = events_of(Delta(finish_reason="content_filter", usage=TokenUsage(1, 2)))
    assert events[-1]["response"]["incomplete_details"] == {"reason": "content_filter"}
    assert events[-1]["response"]["output"] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineFailed("m", "it is broken"), "server_error"),
        (DeadlineExceeded("'m'", 5), "server_error"),
        (Overloaded("Full."), "rate_limit_exceeded"),
        (InvalidRequest("Wrong."), "invalid_prompt"),
        (ContextTooLong("m", 9, 8), "context_length_exceeded"),
        (ValueError("a secret"), "server_error"),
    ],
)
def test_a_failure_ends_the_stream_with_what_is_done(error: Exception, code: str) -> None:
    events = events_of(Delta("a"), Delta(tool_calls=(ToolCallDelta(0, "c0", "f"),)), error=error)
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"], response["error"]["code"]) == ("response.failed", "failed", code)
    assert "secret" not in response["error"]["message"]
    assert [item["type"] for item in response["output"]] == ["message"]


def test_unknown_counts() -> None:
    whole = events_of(Delta(finish_reason="stop", usage=TokenUsage(3, 4, None, None)))[-1]["response"]["usage"]
    assert (whole["input_tokens_details"]["cached_tokens"], whole["output_tokens_details"]["reasoning_tokens"]) == (
        0,
        0,
    )
    assert events_of(Delta(finish_reason="stop", usage=TokenUsage(3, None)))[-1]["response"]["usage"] is None


def test_log_probabilities() -> None:
    token = TokenLogprob("a", -0.5, b"a", (TokenLogprob("b", float("-inf"), b"b"),))
    events = events_of(Delta("a", logprobs=(token,)), Delta(logprobs=(token,)), END)
    alternative = {"token": "b", "logprob": -9999.0}
    shown = {"token": "a", "logprob": -0.5, "top_logprobs": [alternative]}
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [(event["delta"], event["logprobs"]) for event in deltas] == [("a", [shown]), ("", [shown])]
    (part,) = events[-1]["response"]["output"][0]["content"]
    kept = {**shown, "bytes": [97], "top_logprobs": [{**alternative, "bytes": [98]}]}
    assert part["logprobs"] == [kept, kept]
    assert kinds(events_of(Delta(reasoning="a", logprobs=(token,)), END)).count("output_text.delta") == 0


def test_the_request_is_repeated() -> None:
    tool = {"type": "function", "name": "f", "description": None, "parameters": {"type": "object"}, "strict": True}
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low", "summary": "auto"},
        "temperature": 0.5,
        "text": {"format": schema, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [tool],
        "top_logprobs": 1,
        "top_p": 0.5,
        "user": "u",
    }
    response = events_of(END, answer=answer_of(**asked))[-1]["response"]
    Response.model_validate(response)
    assert {name: response[name] for name in asked} == asked
    plain = events_of(END, answer=answer_of(store=True, service_tier="flex"))[-1]["response"]
    assert (plain["store"], plain["service_tier"], plain["background"]) == (False, "default", False)
    assert (plain["text"]["format"], plain["tool_choice"]) == ({"type": "text"}, "auto")
    assert (plain["id"], plain["object"], plain["created_at"], plain["model"]) == (
        "resp_1",
        "response",
        1_700_000_000,
        "m",
    )


def test_the_trace_is_in_the_last_response() -> None:
    report = Report("team", True, ("why",), ())
    end = Delta(finish_reason="stop", usage=TokenUsage(1, 1), report=report)
    assert events_of(end)[-1]["response"]["moa"] == {
        "recipe": "team",
        "degraded": True,
        "reasons": ["why"],
        "usage": openai_usage(TokenUsage()),
    }
    assert events_of(end, answer=answer_of(trace=True))[-1]["response"]["moa"]["trace"] == []


def test_what_the_engine_must_not_do() -> None:
    encoder = answer_of().events()
    with pytest.raises(EngineFailed, match="choice 1"):
        encoder.encode(Delta("a", 1))
    for pieces in (
        (ToolCallDelta(0, arguments="{}"),),
        (*CALL[0].tool_calls, *CALL[2].tool_calls, *CALL[1].tool_calls),
    ):
        with pytest.raises(EngineFailed, match="tool call 0"):
            answer_of().events().encode(Delta(tool_calls=pieces))


def test_an_end_without_a_finish_reason_is_not_an_end() -> None:
    encoder = answer_of().events()
    assert kinds(parsed(encoder.encode(Delta(usage=TokenUsage(1, 1))))) == []
    assert encoder.unfinished == {0}


TEXTS = st.text(max_size=4)
PIECES = st.lists(st.tuples(st.sampled_from(["text", "reasoning"]), TEXTS), max_size=6)


@given(PIECES, st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=3))
async def test_a_whole_answer_has_what_the_events_had(pieces: list[tuple[str, str]], calls: list[list[str]]) -> None:
    pieces = sorted(pieces)  # reasoning first, as a whole answer has no order between them
    deltas = [Delta(reasoning=text) if kind == "reasoning" else Delta(text) for kind, text in pieces]
    for index, (first, *rest) in enumerate(calls):
        deltas.append(Delta(tool_calls=(ToolCallDelta(index, f"c{index}", "f", first),)))
        deltas += [Delta(tool_calls=(ToolCallDelta(index, arguments=text),)) for text in rest]
    deltas.append(Delta(finish_reason="tool_calls" if calls else "stop", usage=TokenUsage(1, 2, 0, 0)))
    events = events_of(*deltas)
    whole = answer_of().whole(await collect("m", stream(*deltas), 1))
    Response.model_validate(whole)
    assert whole == events[-1]["response"]
    assert [item | {"status": "completed"} for item in folded(events)] == whole["output"]

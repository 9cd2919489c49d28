"""Events and bodies of Messages answers; each of them must be one of Anthropic's types."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from serving.api.dialects.messages_answers import MessagesAnswer
from serving.api.dialects.openai_json import usage_json as openai_usage
from serving.api.dialects.sealed import unseal
from serving.conversation import ToolCallDelta
from serving.engine import collect
from serving.errors import EngineFailed
from serving.types import Delta, Report
from serving.usage import TokenUsage
from tests.unit.serving.test_engine import stream

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
ANSWER = MessagesAnswer("msg_1", "m", "req-1")
END = Delta(finish_reason="stop", usage=TokenUsage(20, 5, 8, 2))
CALL = (
    Delta(tool_calls=(ToolCallDelta(0, "c0", "f", '{"a"'),)),
    Delta(tool_calls=(ToolCallDelta(0, arguments=": 1}"),)),
    Delta(tool_calls=(ToolCallDelta(1, "c1", "g"),)),
)


def events_of(*deltas: Delta, answer: MessagesAnswer = ANSWER) -> list[Any]:
    """Events of an answer, which are valid and have the name of their type; pings are left out."""
    encoder = answer.events()
    data = encoder.opening() + b"".join(map(encoder.encode, deltas)) + encoder.closing()
    events = []
    for event in data.decode().split("\n\n")[:-1]:
        name, _, line = event.partition("\n")
        value = json.loads(line.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        if value["type"] != "ping":
            EVENTS.validate_python(value)
            events.append(value)
    return events


def kinds(events: Sequence[Any]) -> list[str]:
    return [event["delta"]["type"] if event["type"] == "content_block_delta" else event["type"] for event in events]


def folded(events: Sequence[Any]) -> list[Any]:
    """Content blocks, put together from the events as a client does it."""
    blocks: list[Any] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"] | {"json": ""})
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(blocks) - 1
            delta = event["delta"]
            for name in set(delta) - {"type"}:
                key = "json" if name == "partial_json" else name
                blocks[-1][key] = blocks[-1][key] + delta[name]
        elif event["type"] == "content_block_stop" and (written := blocks[-1].pop("json")):
            blocks[-1]["input"] = json.loads(written)
    return blocks


def test_text_has_its_events_in_order() -> None:
    events = events_of(Delta("Hel"), Delta("lo"), END)
    assert kinds(events) == [
        "message_start",
        "content_block_start",
        "text_delta",
        "text_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"] == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
            "output_tokens_details": {"thinking_tokens": 0},
        },
    }
    assert [event["delta"]["text"] for event in events[2:4]] == ["Hel", "lo"]
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"] == {
        "input_tokens": 12,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 8,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_the_opening_has_a_ping() -> None:
    assert ANSWER.events().opening().endswith(b'event: ping\ndata: {"type":"ping"}\n\n')


def test_thinking_text_and_calls_are_blocks() -> None:
    end = Delta(finish_reason="tool_calls", usage=TokenUsage(1, 2))
    events = events_of(Delta(reasoning="Hm"), Delta(reasoning="."), Delta("I look."), *CALL, end)
    assert kinds(events)[1:-2] == [
        *("content_block_start", "thinking_delta", "thinking_delta", "signature_delta", "content_block_stop"),
        *("content_block_start", "text_delta", "content_block_stop"),
        *("content_block_start", "input_json_delta", "input_json_delta", "content_block_stop"),
        *("content_block_start", "content_block_stop"),
    ]
    thinking, said, first, second = folded(events)
    assert (thinking["thinking"], unseal(thinking["signature"])) == ("Hm.", "Hm.")
    assert said == {"type": "text", "text": "I look."}  # a null citation is refused by the Vercel AI SDK
    assert first == {"type": "tool_use", "id": "c0", "name": "f", "input": {"a": 1}}
    assert second == {"type": "tool_use", "id": "c1", "name": "g", "input": {}}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_thinking_may_be_left_out() -> None:
    answer = MessagesAnswer("msg_1", "m", "r", show_thinking=False)
    events = events_of(Delta(reasoning="Hm."), Delta("a"), END, answer=answer)
    assert kinds(events)[1:4] == ["content_block_start", "signature_delta", "content_block_stop"]
    (thinking, _) = folded(events)
    assert (thinking["thinking"], unseal(thinking["signature"])) == ("", "Hm.")


@pytest.mark.parametrize(
    ("reason", "stop_reason"), [("length", "max_tokens"), ("content_filter", "refusal"), ("stop", "end_turn")]
)
def test_stop_reasons(reason: Any, stop_reason: str) -> None:
    events = events_of(Delta("a"), Delta(finish_reason=reason, usage=TokenUsage(1, 2)))
    assert events[-2]["delta"]["stop_reason"] == stop_reason


async def test_a_stop_sequence_is_named() -> None:
    end = Delta(finish_reason="stop", stop="END", usage=TokenUsage(1, 2))
    whole = ANSWER.whole(await collect("m", stream(Delta("a"), end), 1))
    for ended in (events_of(Delta("a"), end)[-2]["delta"], whole):
        assert (ended["stop_reason"], ended["stop_sequence"]) == ("stop_sequence", "END")


def test_an_unknown_count_is_zero() -> None:
    usage = events_of(Delta(finish_reason="stop", usage=TokenUsage(None, None, None, None)))[-2]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (0, 0, 0)


def test_the_trace_is_in_the_last_delta() -> None:
    end = Delta(finish_reason="stop", usage=TokenUsage(1, 1), report=Report("team", True, ("why",), ()))
    moa = {"recipe": "team", "degraded": True, "reasons": ["why"], "usage": openai_usage(TokenUsage())}
    assert events_of(end)[-2]["moa"] == moa
    traced = events_of(end, answer=MessagesAnswer("msg_1", "m", "r", trace=True))
    assert traced[-2]["moa"] == {**moa, "trace": []}


@pytest.mark.parametrize(
    ("arguments", "given_input"),
    [("", {}), ("{}", {}), ('{"a": [1]}', {"a": [1]}), ("[1]", {"arguments": [1]}), ('{"a', {"arguments": '{"a'})],
)
async def test_the_input_of_a_call_is_an_object(arguments: str, given_input: Any) -> None:
    call = Delta(tool_calls=(ToolCallDelta(0, "c0", "f", arguments),))
    whole = ANSWER.whole(await collect("m", stream(call, END), 1))
    Message.model_validate(whole)
    assert whole["content"][0]["input"] == given_input


def test_what_the_engine_must_not_do() -> None:
    with pytest.raises(EngineFailed, match="choice 1"):
        ANSWER.events().encode(Delta("a", 1))
    for pieces in (
        (ToolCallDelta(0, arguments="{}"),),
        (*CALL[0].tool_calls, *CALL[2].tool_calls, *CALL[1].tool_calls),
    ):
        with pytest.raises(EngineFailed, match="tool call 0"):
            ANSWER.events().encode(Delta(tool_calls=pieces))


def test_an_end_without_a_finish_reason_is_not_an_end() -> None:
    encoder = ANSWER.events()
    assert encoder.encode(Delta(usage=TokenUsage(1, 1))) == b""
    assert encoder.unfinished == {0}


TEXTS = st.text(max_size=4)
PIECES = st.lists(st.tuples(st.sampled_from(["text", "reasoning"]), TEXTS), max_size=6)


@given(PIECES, st.lists(st.tuples(st.dictionaries(TEXTS, TEXTS, max_size=2), st.integers(0, 9)), max_size=3))
async def test_a_whole_answer_has_what_the_events_had(
    pieces: list[tuple[str, str]], calls: list[tuple[dict[str, str], int]]
) -> None:
    pieces = sorted(pieces)  # reasoning first, as a whole answer has no order between them
    deltas = [Delta(reasoning=text) if kind == "reasoning" else Delta(text) for kind, text in pieces]
    for index, (arguments, cut) in enumerate(calls):
        written = json.dumps(arguments)
        deltas.append(Delta(tool_calls=(ToolCallDelta(index, f"c{index}", "f", written[:cut]),)))
        deltas.append(Delta(tool_calls=(ToolCallDelta(index, arguments=written[cut:]),)))
    deltas.append(Delta(finish_reason="tool_calls" if calls else "stop", usage=TokenUsage(1, 2, 0, 0)))
    events = events_of(*deltas)
    whole = ANSWER.whole(await collect("m", stream(*deltas), 1))
    Message.model_validate(whole)
    assert whole["content"] == folded(events)
    assert whole["usage"] == events[-2]["usage"]
    assert whole == events[0]["message"] | {"content": whole["content"], "usage": whole["usage"]} | events[-2]["delta"]

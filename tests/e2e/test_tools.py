"""Loops of tool calls on the real trio, with the public client: whole and streamed.

The trio was not trained to call tools by itself: its calls are structured output, and their arguments come from a list.
"""

import json
from typing import Any

import openai
import pytest

MODELS = ("tiny-qwen", "moa-lite")
PLACES = ("France", "Italy", "Spain")


def tool(name: str) -> dict[str, Any]:
    place = {"type": "string", "enum": list(PLACES)}
    parameters = {"type": "object", "properties": {"place": place}, "required": ["place"]}
    return {"type": "function", "function": {"name": name, "description": "Looks it up.", "parameters": parameters}}


TOOLS = [tool("capital"), tool("river")]
QUESTION = {"role": "user", "content": "What is the capital of France?"}


def asked(client: openai.OpenAI, model: str, stream: bool, **fields: Any) -> tuple[dict[str, Any], Any]:
    """Message as it is sent back, and the `moa` object of an answer."""
    fields = {"temperature": 0, "max_tokens": 128, "extra_body": {"moa": {"trace": True}}, "tools": TOOLS, **fields}
    if not stream:
        answer = client.chat.completions.create(model=model, **fields)
        return answer.choices[0].message.model_dump(exclude_none=True), getattr(answer, "moa", None)
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    moa = None
    for chunk in client.chat.completions.create(model=model, stream=True, **fields):
        moa = getattr(chunk, "moa", moa)
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            for piece in choice.delta.tool_calls or []:
                calls = message.setdefault("tool_calls", [])
                if piece.index == len(calls):
                    calls.append({"id": piece.id, "type": "function", "function": {"name": "", "arguments": ""}})
                calls[piece.index]["function"]["name"] += piece.function.name or ""
                calls[piece.index]["function"]["arguments"] += piece.function.arguments or ""
    return message, moa


def loop(client: openai.OpenAI, model: str, stream: bool, choice: Any, **fields: Any) -> tuple[Any, Any]:
    """Messages and `moa` objects of a loop of two requests, of which the first must call."""
    called = asked(client, model, stream, messages=[QUESTION], tool_choice=choice, **fields)
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "Paris"} for call in called[0].get("tool_calls", ())
    ]
    answered = asked(client, model, stream, messages=[QUESTION, called[0], *results], tool_choice="none", **fields)
    return (called[0], answered[0]), (called[1], answered[1])


@pytest.mark.parametrize("choice", ["required", "river"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_loops_of_two_requests_end_with_an_answer(client: openai.OpenAI, model: str, stream: bool, choice: str) -> None:
    named = {"type": "function", "function": {"name": choice}}
    (called, answered), traces = loop(client, model, stream, "required" if choice == "required" else named)
    assert not called.get("content")
    assert called["tool_calls"]
    for call in called["tool_calls"]:
        assert call["function"]["name"] in (["capital", "river"] if choice == "required" else ["river"])
        assert json.loads(call["function"]["arguments"])["place"] in PLACES
    assert answered["content"].strip()
    assert not answered.get("tool_calls")
    if model == "moa-lite":
        check_team(*traces)


def check_team(first: Any, second: Any) -> None:
    """The proposers are asked in the first request only, without tools; the final agent calls."""
    proposers, (final,) = (layer["agents"] for layer in first["trace"])
    assert [agent["outcome"] for agent in proposers] == ["ok"] * 3
    assert not any("tool_calls" in agent for agent in proposers)
    assert final["tool_calls"]
    assert [[agent["role"] for agent in layer["agents"]] for layer in second["trace"]] == [["aggregator"]]
    assert not first["degraded"]
    assert not second["degraded"]


@pytest.mark.parametrize("stream", [False, True])
def test_equal_drafts_of_a_team_are_its_answer_and_conflicts_are_the_aggregators(
    client: openai.OpenAI, stream: bool
) -> None:
    """Two of the three proposers have tools; each must draft a call."""
    voting = {"parallel_tool_calls": False, "extra_body": {"moa": {"trace": True, "tools": "vote"}}}
    (called, answered), (first, _) = loop(client, "moa-lite", stream, "required", **voting)
    drafts = [agent["tool_calls"] for agent in first["trace"][0]["agents"] if "tool_calls" in agent]
    assert [len(calls) for calls in drafts] == [1, 1]
    votes = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for (call,) in drafts]
    equal = votes[0] == votes[1]
    assert len(first["trace"]) == (1 if equal else 2)
    assert any("drafted the same tool calls" in reason for reason in first["reasons"])
    assert {call["function"]["name"] for call in called["tool_calls"]} <= {"capital", "river"}
    assert answered["content"].strip()


@pytest.mark.parametrize("model", MODELS)
def test_a_model_without_a_parser_refuses_to_choose_by_itself(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        asked(client, model, stream=False, messages=[QUESTION])

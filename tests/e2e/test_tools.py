"""Loops of tool calls on the real trio, with the public client: whole and streamed, single models and teams."""

import asyncio
import json
from typing import Any

import openai
import pytest
from pydantic import TypeAdapter

from evaluation.scoring.exact import is_right
from evaluation.tools.backends import Backend
from models.tiny import heldout_tasks

MODELS = ("tiny-qwen", "tiny-llama", "moa-lite")
ROWS = heldout_tasks.rows(heldout_tasks.TOOLS_FILE)
TASKS = [row for skill in ("calculate", "lookup") for row in [r for r in ROWS if r["skill"] == skill][:6]]
KNOWN = [row for row in ROWS if row["skill"] == "none"][:6]
MAX_REQUESTS = 3


def asked(client: openai.OpenAI, model: str, stream: bool, **fields: Any) -> tuple[dict[str, Any], Any]:
    """Message as it is sent back, and the `moa` object of an answer."""
    fields = {"temperature": 0, "max_tokens": 128, "extra_body": {"moa": {"trace": True}}, **fields}
    message: dict[str, Any]
    if not stream:
        answer = client.chat.completions.create(model=model, **fields)
        message = answer.choices[0].message.model_dump(exclude_none=True)
        assert answer.choices[0].finish_reason == ("tool_calls" if message.get("tool_calls") else "stop")
        return message, getattr(answer, "moa", None)
    message = {"role": "assistant", "content": ""}
    moa, reason = None, None
    for chunk in client.chat.completions.create(model=model, stream=True, **fields):
        moa = getattr(chunk, "moa", moa)
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            message["content"] += choice.delta.content or ""
            for piece in choice.delta.tool_calls or []:
                calls = message.setdefault("tool_calls", [])
                if piece.index == len(calls):
                    calls.append({"id": piece.id, "type": "function", "function": {"name": "", "arguments": ""}})
                calls[piece.index]["function"]["name"] += piece.function.name or ""
                calls[piece.index]["function"]["arguments"] += piece.function.arguments or ""
    assert reason == ("tool_calls" if message.get("tool_calls") else "stop")
    return message, moa


def run(row: dict[str, Any], call: dict[str, Any]) -> str:
    """Result of a call; the grammar holds its name to the offered tools and its arguments to the schema."""
    name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
    (schema,) = [tool["function"]["parameters"] for tool in row["tools"] if tool["function"]["name"] == name]
    assert list(arguments) == schema["required"]
    assert all(isinstance(argument, str) for argument in arguments.values())
    if name not in row["backends"]:
        return "not found"
    backend = TypeAdapter[Any](Backend).validate_python(row["backends"][name])
    try:
        return asyncio.run(backend.run(arguments))
    except Exception as error:
        return f"error: {error}"


def loop(client: openai.OpenAI, model: str, stream: bool, row: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Messages of the model and `moa` objects of a whole loop."""
    messages: list[Any] = [{"role": "user", "content": row["question"]}]
    said, traces = [], []
    for _ in range(MAX_REQUESTS):
        message, trace = asked(client, model, stream, messages=messages, tools=row["tools"])
        said.append(message)
        traces.append(trace)
        if not message.get("tool_calls"):
            break
        results = [{"role": "tool", "tool_call_id": c["id"], "content": run(row, c)} for c in message["tool_calls"]]
        messages += [message, *results]
    return said, traces


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_loops_end_with_right_answers(client: openai.OpenAI, model: str, stream: bool) -> None:
    loops = [loop(client, model, stream, row) for row in TASKS]
    called = [said[0].get("tool_calls") is not None for said, _ in loops]
    right = [
        is_right(said[-1].get("content") or "", row["answer"]) for (said, _), row in zip(loops, TASKS, strict=True)
    ]
    assert sum(called) >= 10, [said[0] for said, _ in loops]
    assert sum(right) >= 6, [(said[-1], row["answer"]) for (said, _), row in zip(loops, TASKS, strict=True)]
    if model == "moa-lite":
        for (said, traces), acted in zip(loops, called, strict=True):
            if acted:
                check_team(said, traces)


def check_team(said: list[Any], traces: list[Any]) -> None:
    """The proposers are asked in the first request only, without tools; the final agent calls."""
    proposers, (final,) = (layer["agents"] for layer in traces[0]["trace"])
    assert [agent["outcome"] for agent in proposers] == ["ok"] * 3
    assert not any("tool_calls" in agent for agent in proposers)
    assert [c["function"] for c in final["tool_calls"]] == [c["function"] for c in said[0]["tool_calls"]]
    for later in traces[1:]:
        assert [[agent["role"] for agent in layer["agents"]] for layer in later["trace"]] == [["aggregator"]]
    assert not any(trace["degraded"] for trace in traces)


@pytest.mark.parametrize("model", MODELS)
def test_what_a_model_knows_is_answered_without_a_call(client: openai.OpenAI, model: str) -> None:
    answers = [asked(client, model, False, messages=[_user(row)], tools=row["tools"])[0] for row in KNOWN]
    assert sum("tool_calls" not in answer for answer in answers) >= 4, answers


def _user(row: dict[str, Any]) -> Any:
    return {"role": "user", "content": row["question"]}


@pytest.mark.parametrize("stream", [False, True])
def test_equal_drafts_of_a_team_are_its_answer_and_conflicts_are_the_aggregators(
    client: openai.OpenAI, stream: bool
) -> None:
    """Two of the three proposers have tools; what both draft is answered at once."""
    voting = {"parallel_tool_calls": False, "extra_body": {"moa": {"trace": True, "tools": "vote"}}}
    seen = {True: 0, False: 0}
    for row in TASKS:
        called, moa = asked(client, "moa-lite", stream, messages=[_user(row)], tools=row["tools"], **voting)
        drafts = [agent["tool_calls"] for agent in moa["trace"][0]["agents"] if "tool_calls" in agent]
        if len(drafts) < 2:
            continue
        votes = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for (call,) in drafts]
        equal = votes[0] == votes[1]
        seen[equal] += 1
        assert len(moa["trace"]) == (1 if equal else 2)
        assert any("drafted the same tool calls" in reason for reason in moa["reasons"])
        if equal:
            (call,) = called["tool_calls"]
            assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == votes[0]
    assert seen[True] >= 3, seen


@pytest.mark.parametrize("choice", ["required", "named", "none"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_choice_is_kept(client: openai.OpenAI, model: str, stream: bool, choice: str) -> None:
    row = next(row for row in TASKS if len(row["tools"]) > 1)
    name = row["tools"][1]["function"]["name"]
    wanted: Any = {"type": "function", "function": {"name": name}} if choice == "named" else choice
    message, _ = asked(client, model, stream, messages=[_user(row)], tools=row["tools"], tool_choice=wanted)
    if choice == "none":
        assert not message.get("tool_calls")
        return
    assert not message.get("content")
    offered = [tool["function"]["name"] for tool in row["tools"]]
    for call in message["tool_calls"]:
        assert call["function"]["name"] in ([name] if choice == "named" else offered)
        run(row, call)

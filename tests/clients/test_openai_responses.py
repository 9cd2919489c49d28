"""Loops of tool calls on `/v1/responses`: the public `openai` client, and a body as Codex CLI sends it."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from evaluation.tools.calculator import calculate
from serving.conversation import Message
from tests.clients.conftest import ANSWER, QUESTION, World
from tests.clients.test_anthropic import FailedAnswerError
from tests.support.loops import THOUGHT

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SCHEMA = {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}
TOOLS: Any = [{"type": "function", "name": "compute", "description": "Compute.", "parameters": SCHEMA, "strict": False}]
TRACE = {"moa": {"trace": True}}


def result_of(call: Any) -> dict[str, Any]:
    """Item with the result of a call."""
    output = calculate(json.loads(call.arguments)["expression"])
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_a_loop_of_two_requests(world: World, model: str, stream: bool) -> None:
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    traces = []
    async with openai.AsyncOpenAI(base_url=world.url, api_key="none", max_retries=0) as client:

        async def ask() -> Response:
            asked: dict[str, Any] = {"model": model, "input": items, "tools": TOOLS, "extra_body": TRACE}
            if not stream:
                return await client.responses.create(**asked)
            async with client.responses.stream(**asked) as events:
                async for _ in events:
                    pass
                return await events.get_final_response()

        for _ in range(2):
            answer = await ask()
            traces.append((answer.model_extra or {})["moa"])
            items += answer.output
            items += [result_of(item) for item in answer.output if item.type == "function_call"]
    assert answer.output_text == ANSWER
    world.check_loop(model, reasoning=THOUGHT)
    roles = [[agent["role"] for layer in moa["trace"] for agent in layer["agents"]] for moa in traces]
    team = [["proposer"] * 3 + ["aggregator"], ["aggregator"]]
    assert roles == (team if model == "moa-lite" else [["model"], ["model"]])


def part(text: str) -> list[dict[str, str]]:
    return [{"type": "input_text", "text": text}]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties)[:1],
        "additionalProperties": False,
    }
    return {"type": "function", "name": name, "description": f"The tool {name}.", "strict": False, "parameters": schema}


TEXT, NUMBER, FLAG = {"type": "string", "description": "A text."}, {"type": "number"}, {"type": "boolean"}
STEP = {"type": "object", "properties": {"step": TEXT, "status": TEXT}, "required": ["step", "status"]}
CODEX: dict[str, Any] = {
    "model": "moa-lite",
    "instructions": "You are a coding agent in a terminal. You are precise, safe and helpful.\n\n# Tools\n...",
    "input": [
        {"type": "message", "role": "developer", "content": part("<permissions instructions>\n...\n</permissions>")},
        {"type": "message", "role": "user", "content": part("# AGENTS.md instructions for /work\n\n<INSTRUCTIONS>...")},
        {
            "type": "message",
            "role": "user",
            "content": part("<environment_context>\n  <cwd>/work</cwd>\n  <shell>bash"),
        },
        {"type": "message", "role": "user", "content": part(QUESTION)},
    ],
    "tools": [
        tool("exec_command", cmd=TEXT, workdir=TEXT, yield_time_ms=NUMBER, login=FLAG, justification=TEXT),
        tool("write_stdin", session_id=NUMBER, chars=TEXT),
        tool("update_plan", plan={"type": "array", "items": STEP}, explanation=TEXT),
        tool("view_image", path=TEXT),
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "service_tier": None,
    "prompt_cache_key": "0197f3a2-5b1c-7e9d-8f00-000000000001",
    "text": {"verbosity": "medium"},
    "client_metadata": {"x-codex-installation-id": "0197f3a2-0000"},
}
HEADERS = {
    "originator": "codex_cli_rs",
    "session_id": "0197f3a2-5b1c-7e9d-8f00-000000000001",
    "accept": "text/event-stream",
    "openai-beta": "responses=experimental",
}


async def codex_turn(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[list[Any], Any]:
    """Items that Codex keeps of a turn, as it sends them back, and the last response."""
    response = await client.post("/responses", json=body, headers=HEADERS)
    assert response.status_code == 200, response.text
    events = [
        json.loads(line.removeprefix("data: ")) for line in response.text.split("\n") if line.startswith("data: ")
    ]
    for event in events:
        EVENTS.validate_python(event)
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    if events[-1]["type"] == "response.failed":
        raise FailedAnswerError(events[-1])
    assert events[-1]["type"] == "response.completed"
    fields = ("type", "role", "content", "summary", "encrypted_content", "name", "namespace", "arguments", "call_id")
    return [{name: item[name] for name in fields if name in item} for item in items], events[-1]["response"]


async def test_a_loop_of_codex(world: World) -> None:
    body = CODEX
    async with httpx.AsyncClient(base_url=world.url) as client:
        kept, first = await codex_turn(client, body)
        reasoning, call = kept
        assert (reasoning["type"], call["type"], call["name"]) == ("reasoning", "function_call", "exec_command")
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": ANSWER}
        body = {**body, "input": [*body["input"], *kept, output]}
        kept, second = await codex_turn(client, body)
    assert [item["type"] for item in kept] == ["reasoning", "message"]
    assert kept[-1]["content"][0]["text"] == ANSWER
    assert (first["store"], second["store"]) == (False, False)
    assert second["usage"]["input_tokens"] > 0
    assert world.counts() == {"a": 3, "b": 1, "c": 1}  # each proposer once, the final agent twice
    asked = world.models["a"].requests[-1]
    assert [message.role for message in asked.messages[:2]] == ["system", "system"]
    assert asked.messages[-2].reasoning == THOUGHT
    assert asked.messages[-1] == Message("tool", ANSWER, tool_call_id=call["call_id"])
    assert [tool.name for tool in asked.tools] == ["exec_command", "write_stdin", "update_plan", "view_image"]
    assert asked.session == world.models["a"].requests[-2].session is not None
    assert (asked.parallel_tool_calls, asked.thinking.effort) == (False, "medium")


async def test_tools_that_run_on_the_server_are_refused_by_name(world: World) -> None:
    search = {"type": "web_search", "external_web_access": False}
    async with httpx.AsyncClient(base_url=world.url) as client:
        response = await client.post("/responses", json={**CODEX, "tools": [*CODEX["tools"], search]})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "tools[4].type")
    assert "'web_search'" in error["message"]

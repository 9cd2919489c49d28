"""Loops of tool calls on `/v1/messages`: the public `anthropic` client, and a body as Claude Code sends it."""

import json
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import Message as AnthropicMessage

from evaluation.tools.calculator import calculate
from serving.conversation import Message
from tests.clients.conftest import ANSWER, QUESTION, World
from tests.support.loops import THOUGHT

SCHEMA = {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}
TOOLS: Any = [{"name": "compute", "description": "Compute.", "input_schema": SCHEMA}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_a_loop_of_two_requests(world: World, model: str, stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    url = world.url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:

        async def ask() -> AnthropicMessage:
            asked: dict[str, Any] = {"model": model, "max_tokens": 100, "messages": messages, "tools": TOOLS}
            if not stream:
                return await client.messages.create(**asked)
            async with client.messages.stream(**asked) as events:
                return await events.get_final_message()

        for _ in range(2):
            answer = await ask()
            messages.append({"role": "assistant", "content": answer.content})
            results: list[Any] = [
                {"type": "tool_result", "tool_use_id": block.id, "content": calculate(str(block.input["expression"]))}
                for block in answer.content
                if block.type == "tool_use"
            ]
            if results:
                messages.append({"role": "user", "content": results})
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[-1].type == "text"
    assert (answer.content[-1].text, answer.stop_reason) == (ANSWER, "end_turn")
    world.check_loop(model, reasoning=THOUGHT)


async def test_the_clients_own_loop(world: World) -> None:
    @anthropic.beta_async_tool
    async def compute(expression: str) -> str:
        """Compute an expression.

        Args:
            expression: The expression.
        """
        return calculate(expression)

    url = world.url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model="moa-lite", max_tokens=100, tools=[compute], messages=[{"role": "user", "content": QUESTION}]
        )
        last = await runner.until_done()
    assert last.content[-1].type == "text"
    assert last.content[-1].text == ANSWER
    world.check_loop("moa-lite", reasoning=THOUGHT)


EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}


def text(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(properties)[:1],
        "additionalProperties": False,
    }
    return {"name": name, "description": f"The tool {name}.", "input_schema": schema}


TEXT, NUMBER, FLAG = {"type": "string", "description": "A text."}, {"type": "number"}, {"type": "boolean"}
CLAUDE_CODE: dict[str, Any] = {
    "model": "moa-lite",
    "max_tokens": 32_000,
    "system": [
        text("x-anthropic-billing-header: cc_version=2.1.100.a1b; cc_entrypoint=cli; cch=00000;"),
        text("You are a coding agent in a terminal.", cache_control=EPHEMERAL),
        text("# Tone and style\n...\n# Environment\nWorking directory: /work", cache_control=EPHEMERAL),
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                text(
                    "<system-reminder>\nAs you answer, you can use this context:\n# claudeMd\n...\n</system-reminder>\n"
                ),
                text(QUESTION, cache_control=EPHEMERAL),
            ],
        }
    ],
    "tools": [
        tool("Bash", command=TEXT, timeout=NUMBER, description=TEXT, run_in_background=FLAG),
        tool("Read", file_path=TEXT, offset=NUMBER, limit=NUMBER),
        tool("Edit", file_path=TEXT, old_string=TEXT, new_string=TEXT, replace_all=FLAG),
        tool("TodoWrite", todos={"type": "array", "items": {"type": "object", "properties": {"content": TEXT}}}),
        tool("WebSearch", query=TEXT, allowed_domains={"type": "array", "items": TEXT}),
    ],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "medium"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s-1"})},
    "stream": True,
}
HEADERS = {
    "x-api-key": "none",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "x-claude-code-session-id": "s-1",
    "x-stainless-lang": "js",
    "user-agent": "claude-cli/2.1.100 (external, cli)",
}


class FailedAnswerError(AssertionError):
    """The answer is an error in the stream."""


async def turn(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[list[Any], Any]:
    """Content blocks and the last delta of a streamed answer, put together as the client does it."""
    response = await client.post("/messages", params={"beta": "true"}, json=body, headers=HEADERS)
    assert response.status_code == 200, response.text
    blocks: list[Any] = []
    last = None
    for line in response.text.split("\n"):
        event = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {"type": ""}
        match event["type"]:
            case "content_block_start":
                blocks.append({**event["content_block"], "json": ""})
            case "content_block_delta":
                delta = event["delta"]
                for name in set(delta) - {"type"}:
                    key = "json" if name == "partial_json" else name
                    blocks[event["index"]][key] += delta[name]
            case "content_block_stop":
                if written := blocks[event["index"]].pop("json"):
                    blocks[event["index"]]["input"] = json.loads(written)
            case "message_delta":
                last = event
    if "event: error\n" in response.text:
        raise FailedAnswerError(response.text)
    assert response.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    return blocks, last


async def test_a_loop_of_claude_code(world: World) -> None:
    body = CLAUDE_CODE
    async with httpx.AsyncClient(base_url=world.url) as client:
        count = {
            name: body[name] for name in ("model", "system", "messages", "tools", "thinking", "context_management")
        }
        counted = await client.post("/messages/count_tokens", json=count, headers=HEADERS)
        assert counted.json()["input_tokens"] > 20
        blocks, last = await turn(client, body)
        assert ([block["type"] for block in blocks], last["delta"]["stop_reason"]) == (
            ["thinking", "tool_use"],
            "tool_use",
        )
        result = {"type": "tool_result", "tool_use_id": blocks[1]["id"], "content": ANSWER, "is_error": False}
        followed = [
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": [{**result, "cache_control": EPHEMERAL}]},
        ]
        system = [text("x-anthropic-billing-header: cc_version=2.1.100.a1b; cch=11111;"), *body["system"][1:]]
        blocks, last = await turn(client, {**body, "system": system, "messages": [*body["messages"], *followed]})
    assert (blocks[-1]["text"], last["delta"]["stop_reason"]) == (ANSWER, "end_turn")
    assert last["usage"]["input_tokens"] > 0
    assert world.counts() == {"a": 3, "b": 1, "c": 1}  # each proposer once, the final agent twice
    first, second = world.models["a"].requests[-2:]
    assert second.messages[: len(first.messages)] == first.messages  # so that its prompt is cached
    assert "billing" not in "".join(message.content for message in second.messages)
    assert second.messages[-2].reasoning == THOUGHT
    assert second.messages[-1] == Message("tool", ANSWER, tool_call_id=result["tool_use_id"])
    assert first.session == second.session is not None
    assert (second.thinking.enabled, second.thinking.effort, second.sampling.max_tokens) == (True, "medium", 32_000)

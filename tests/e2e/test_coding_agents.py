"""Loops of tool calls as Codex CLI and Claude Code make them, answered by `moa-lite` on the trio.

The bodies have the agents' fields, blocks and items. Their texts and their tools are short, and thinking is off: models
of this size read nothing longer than what they were trained with (docs/tiny.md). tests/clients has the whole bodies,
over scripted models. One of the tools is that of an MCP server, a calculator.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.clients import test_anthropic, test_openai_responses
from tests.clients.test_anthropic import FailedAnswerError
from tests.clients.trio.programs.common import FUNCTION, PARAMETERS, TOOL_DESCRIPTION, TOOL_QUESTIONS, compute

CALCULATOR = "mcp__calculator"
INSTRUCTIONS = "You are a helpful assistant."
MAX_REQUESTS = 3


async def check(loop: Callable[[str], Awaitable[tuple[int, str]]]) -> None:
    """A model of this size errs: one of the questions is answered with the tool's result.

    It also may think until the limit of tokens, which is an error of the stream.
    """
    seen = []
    for question, answer in TOOL_QUESTIONS.items():
        try:
            calls, text = await loop(question)
        except FailedAnswerError as error:
            seen.append((question, 0, str(error)))
            continue
        seen.append((question, calls, text))
        if calls and answer in text:
            return
    raise AssertionError(f"no question was answered by a call: {seen}")


async def test_claude_code(base_url: str) -> None:
    name = f"{CALCULATOR}__compute"
    tool = {"name": name, "description": TOOL_DESCRIPTION, "input_schema": PARAMETERS}
    billing, *_ = test_anthropic.CLAUDE_CODE["system"]
    command = test_anthropic.tool("Bash", command={"type": "string", "description": "The command."})
    path = test_anthropic.tool("Read", file_path={"type": "string", "description": "The file."})
    body: dict[str, Any] = {
        **test_anthropic.CLAUDE_CODE,
        "max_tokens": 512,
        "thinking": {"type": "disabled"},
        "system": [billing, test_anthropic.text(INSTRUCTIONS, cache_control=test_anthropic.EPHEMERAL)],
        "tools": [tool, {**command, "description": "Runs a command."}, {**path, "description": "Reads a file."}],
    }
    body.pop("output_config")

    async def loop(question: str) -> tuple[int, str]:
        asked = test_anthropic.text(question, cache_control=test_anthropic.EPHEMERAL)
        messages: list[Any] = [{"role": "user", "content": [asked]}]
        calls = 0
        async with httpx.AsyncClient(base_url=f"{base_url}/v1", timeout=240) as client:
            for _ in range(MAX_REQUESTS):
                blocks, last = await test_anthropic.turn(client, {**body, "messages": messages})
                used = [block for block in blocks if block["type"] == "tool_use"]
                assert last["delta"]["stop_reason"] == ("tool_use" if used else "end_turn")
                usage = last["usage"]
                assert usage["input_tokens"] + usage["cache_read_input_tokens"] > 100
                if not used:
                    break
                calls += len(used)
                results = [
                    {"type": "tool_result", "tool_use_id": b["id"], "content": claude_result(b), "is_error": False}
                    for b in used
                ]
                messages += [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
        return calls, "".join(block["text"] for block in blocks if block["type"] == "text")

    def claude_result(block: dict[str, Any]) -> str:
        return compute(block["input"]["expression"]) if block["name"] == name else "command not found"

    await check(loop)


async def test_codex(base_url: str) -> None:
    function = {"type": "function", "strict": True, **FUNCTION}
    namespace = {"type": "namespace", "name": CALCULATOR, "description": "A calculator.", "tools": [function]}
    command = test_openai_responses.tool("exec_command", cmd={"type": "string", "description": "The command."})
    path = test_openai_responses.tool("view_image", path={"type": "string", "description": "The file."})
    body: dict[str, Any] = {
        **test_openai_responses.CODEX,
        "reasoning": {"effort": "none"},
        "instructions": INSTRUCTIONS,
        "tools": [namespace, {**command, "description": "Runs a command."}, {**path, "description": "Reads a file."}],
    }

    async def loop(question: str) -> tuple[int, str]:
        asked = {"type": "message", "role": "user", "content": test_openai_responses.part(question)}
        items: list[Any] = [asked]
        calls, text = 0, ""
        async with httpx.AsyncClient(base_url=f"{base_url}/v1", timeout=240) as client:
            for _ in range(MAX_REQUESTS):
                kept, response = await test_openai_responses.codex_turn(client, {**body, "input": items})
                assert response["usage"]["input_tokens"] > 100
                assert response["store"] is False
                items += kept
                made = [item for item in kept if item["type"] == "function_call"]
                text = "".join(item["content"][0]["text"] for item in kept if item["type"] == "message")
                if not made:
                    break
                calls += len(made)
                items += [
                    {"type": "function_call_output", "call_id": item["call_id"], "output": codex_result(item)}
                    for item in made
                ]
        return calls, text

    def codex_result(item: dict[str, Any]) -> str:
        if item.get("namespace") != CALCULATOR:
            return "command not found"
        assert item["name"] == "compute"
        return compute(json.loads(item["arguments"])["expression"])

    await check(loop)

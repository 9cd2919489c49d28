"""Large bodies of real clients: none of them meets a limit of a body's structure."""

import json
from typing import Any

import pytest

from serving.engines.scripted import ScriptedEngine
from serving.json_structure import upper_bound
from tests.support.api import app_of, chat, client_of

CODE = 'def f(a: dict[str, int]) -> str:\n    return f"{a[\'x\']} \\"quoted\\" {json.dumps([{}, []])}"\n' * 8


def loop_of_an_agent() -> list[dict[str, Any]]:
    """1,000 messages of a coding agent, each with two calls of tools, and their results."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": [{"type": "text", "text": CODE}]}]
    for turn in range(250):
        ids = [f"call_{turn}_{place}" for place in range(2)]
        arguments = json.dumps({"path": f"/src/{turn}.py", "edits": [{"old": '"a"', "new": '"b"'}] * 5})
        calls = [
            {"id": one, "type": "function", "function": {"name": "edit", "arguments": arguments}, "index": place}
            for place, one in enumerate(ids)
        ]
        messages.append({"role": "user", "content": [{"type": "text", "text": "go on"}]})
        messages.append({"role": "assistant", "content": None, "tool_calls": calls, "reasoning_content": "so"})
        messages += [{"role": "tool", "tool_call_id": one, "content": [{"type": "text", "text": CODE}]} for one in ids]
    return messages


def tools(count: int, properties: int) -> list[dict[str, Any]]:
    """Tools with schemas as MCP servers write them."""
    field = {"type": "string", "description": "a field", "title": "Field", "default": "", "examples": ["a", "b"]}
    schema = {
        "type": "object",
        "properties": {f"field_{n}": field for n in range(properties)},
        "required": [f"field_{n}" for n in range(properties)],
        "additionalProperties": False,
    }
    names = ["edit", *(f"tool_{n}" for n in range(1, count))]
    return [
        {"type": "function", "function": {"name": name, "description": CODE[:99], "parameters": schema}}
        for name in names
    ]


async def status(path: str, body: dict[str, Any], **settings: Any) -> tuple[int, str]:
    engine = ScriptedEngine("m", "fine", context_tokens=10**6, tools=True, thinking=True)
    async with client_of(app_of({"m": engine}, **settings)) as client:
        response = await client.post(path, json=body)
    return response.status_code, response.text


async def test_the_longest_conversation_with_the_most_tools_passes() -> None:
    body = {"model": "m", "messages": loop_of_an_agent(), "tools": tools(128, 40), "max_tokens": 5}
    assert len(body["messages"]) > 1000
    assert upper_bound(json.dumps(body).encode()) > 131_072  # counted as it is
    code, text = await status("/v1/chat/completions", body)
    assert code == 200, text[:300]


@pytest.mark.parametrize("endpoint", ["/v1/completions", "/tokenize"])
async def test_a_long_prompt_of_token_ids_is_no_structure(endpoint: str) -> None:
    body = {"model": "m", "prompt": list(range(128_000))}
    code, text = await status(endpoint, body)
    assert "Shorten the body" not in text
    assert code == 400, text[:300]  # the scripted model has no such tokens


async def test_a_thousand_biases_pass() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "logit_bias": {str(n): 1 for n in range(1024)},
    }
    code, text = await status("/v1/chat/completions", body)
    assert code == 200, text[:300]


async def test_the_largest_requests_for_embeddings_pass_to_the_endpoint() -> None:
    body = {"model": "m", "input": [[1, 2, 3]] * 2048}
    _, text = await status("/v1/embeddings", body)
    assert "Set 'model' to one that computes embeddings" in text


async def test_what_a_flood_of_lists_hears() -> None:
    code, text = await status("/v1/chat/completions", chat(metadata=[[]] * 200_000))
    assert (code, json.loads(text)["error"]) == (
        400,
        {
            "message": "Shorten the body: it has more than 131072 keys, strings, objects and lists.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_request",
        },
    )

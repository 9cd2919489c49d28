"""Hints and fields that ask for nothing: each is accepted in the dialect whose clients send it, and changes nothing."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.dialects.messages_requests import count_request, messages_request, parse_count, parse_messages
from serving.api.dialects.responses_requests import parse_responses, responses_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import EngineInfo
from serving.engines.scripted import ScriptedEngine
from serving.types import GenerateRequest
from tests.support.api import app_of, client_of

Json = dict[str, Any]
Convert = Callable[[Json], GenerateRequest]
CARD, INFO, SETTINGS = ModelCard("m", "model"), EngineInfo(tools=True, thinking=True), ApiSettings()
EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}


def chat(body: Json) -> GenerateRequest:
    return to_request(parse_chat(json.dumps(body).encode(), SETTINGS), CARD, INFO, SETTINGS, "r")


def responses(body: Json) -> GenerateRequest:
    return responses_request(parse_responses(json.dumps(body).encode(), SETTINGS), CARD, INFO, SETTINGS, "r")


def messages(body: Json) -> GenerateRequest:
    return messages_request(parse_messages(json.dumps(body).encode(), SETTINGS), CARD, INFO, SETTINGS, "r")


def count(body: Json) -> GenerateRequest:
    body = {name: value for name, value in body.items() if name != "max_tokens"}
    return count_request(parse_count(json.dumps(body).encode(), SETTINGS), INFO, SETTINGS, "r")


CHAT: Json = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
RESPONSES: Json = {"model": "m", "input": [{"role": "user", "content": "hi"}]}
MESSAGES: Json = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
FUNCTION: Json = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOL: Json = {"type": "function", "function": FUNCTION}

# Values of top-level fields that change nothing, by the dialect whose clients send them.
FIELDS: dict[str, tuple[Convert, Json, dict[str, list[Any]]]] = {
    "chat": (
        chat,
        CHAT,
        {
            "prompt_cache_retention": ["in_memory", "24h"],
            "prompt_cache_options": [{"mode": "implicit"}],
            "safety_identifier": ["", "user-1"],
            "service_tier": ["auto", "default", "flex", "scale", "priority", "a new one"],
            "verbosity": ["low", "medium", "high"],
            "store": [True, False],
            "prediction": [{"type": "content", "content": "def f():"}],
            "best_of": [1, 1.0],
            "n": [1],
            "parallel_tool_calls": [True, False],
            "tool_choice": ["none"],
            "tools": [[]],
            "functions": [[]],
            "function_call": ["none"],
            "modalities": [["text"]],
            "use_beam_search": [False],
            "length_penalty": [1, 1.0],
            "echo": [False],
            "add_special_tokens": [False],
            "documents": [[]],
            "return_token_ids": [False],
            "return_tokens_as_token_ids": [False],
            "logprob_token_ids": [[]],
            "logit_bias": [{}, {"5": None}],
            "metadata": [{}, {"key": None}],
            "stop": [[]],
            "bad_words": [[]],
            "stop_token_ids": [[]],
            "skip_special_tokens": [True],
            "spaces_between_special_tokens": [True],
            "include_stop_str_in_output": [False],
            "continue_final_message": [False],
            "add_generation_prompt": [True],
            "include_reasoning": [True],
            "chat_template_kwargs": [{}],
            "response_format": [{"type": "text"}],
            "moa": [{}, {"trace": None, "models": None}],
        },
    ),
    "responses": (
        responses,
        RESPONSES,
        {
            "store": [True, False],
            "service_tier": ["auto", "flex", "a new one"],
            "safety_identifier": ["user-1"],
            "prompt_cache_retention": ["24h"],
            "prompt_cache_options": [{"mode": "implicit"}],
            "client_metadata": [{"x-codex-installation-id": "i", "x-codex-turn-metadata": "{}"}],
            "truncation": ["auto", "disabled"],
            "text": [{"verbosity": value} for value in ("low", "medium", "high")] + [{"format": {"type": "text"}}],
            "reasoning": [{"summary": value} for value in ("auto", "concise", "detailed")] + [{"effort": None}],
            "include": [["reasoning.encrypted_content"], ["web_search_call.action.sources"]],
            "parallel_tool_calls": [True, False],
            "tool_choice": ["none", "auto"],
            "tools": [[]],
            "context_management": [[]],
            "background": [False],
            "max_tool_calls": [1],
            "metadata": [{"key": None}],
            "moa": [{}, {"trace": None}],
        },
    ),
    "messages": (
        messages,
        MESSAGES,
        {
            "cache_control": [EPHEMERAL, {"type": "ephemeral"}],
            "service_tier": ["auto", "standard_only"],
            "speed": ["standard", "fast"],
            "diagnostics": [{"previous_message_id": None}],
            "context_management": [{}, {"edits": []}, {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}],
            "mcp_servers": [[]],
            "fallbacks": [[]],
            "tools": [[]],
            "tool_choice": [{"type": "auto"}, {"type": "none"}, {"type": "auto", "disable_parallel_tool_use": True}],
            "stop_sequences": [[]],
            "metadata": [{}, {"user_id": None}],
            "output_config": [{}, {"task_budget": {"type": "tokens", "total": 20_000}}, {"effort": None}],
            "moa": [{"trace": None}],
        },
    ),
}


def cases() -> Iterator[tuple[str, str, Any]]:
    for dialect, (_, _, fields) in FIELDS.items():
        for name, values in fields.items():
            for value in (*values, None):
                yield dialect, name, value


@pytest.mark.parametrize(("dialect", "name", "value"), [*cases()], ids=str)
def test_a_field_that_asks_for_nothing_changes_nothing(dialect: str, name: str, value: Any) -> None:
    convert, body, _ = FIELDS[dialect]
    asked = convert({**body, name: value})
    if name == "metadata":
        assert asked.metadata == {}
    assert asked == convert(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"include_obfuscation": True},
        {"include_obfuscation": False},
        {"include_usage": True, "include_obfuscation": None},
    ],
    ids=str,
)
def test_options_of_a_stream_change_no_request(fields: Json) -> None:
    assert chat({**CHAT, "stream": True, "stream_options": fields}) == chat({**CHAT, "stream": True})


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "message"},
        {"type": "text"},
        {"cache_control": EPHEMERAL},
        {"content": [{"type": "text", "text": "hi", "cache_control": EPHEMERAL}]},
        {"content": [{"type": "text", "text": "hi", "cache_control": None}]},
        {"tool_calls": []},
        {"tool_calls": None, "tool_call_id": None, "name": None},
        {"refusal": None, "audio": None, "annotations": [], "function_call": None},
        {"provider_specific_fields": {"citations": None}},
    ],
    ids=str,
)
def test_a_hint_in_a_message_changes_nothing(fields: Json) -> None:
    for role in ("user", "assistant", "system"):
        plain = {"role": role, "content": "hi"}
        following = {"role": "user", "content": "and?"}
        assert chat({**CHAT, "messages": [{**plain, **fields}, following]}) == chat(
            {**CHAT, "messages": [plain, following]}
        )


def test_an_assistants_message_may_have_no_content_and_reasoning() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c", "content": "4"}
    turns = [
        *CHAT["messages"],
        {"role": "assistant", "content": None, "reasoning": "Hm.", "tool_calls": [call]},
        result,
    ]
    asked = chat({**CHAT, "messages": turns, "tools": [TOOL]})
    assert (asked.messages[1].content, asked.messages[1].reasoning) == ("", "Hm.")
    assert [one.id for one in asked.messages[1].tool_calls] == ["c"]


@pytest.mark.parametrize(
    "tool",
    [
        {**TOOL, "cache_control": EPHEMERAL},
        {"type": "function", "function": {**FUNCTION, "cache_control": EPHEMERAL}},
        {"type": "function", "function": {**FUNCTION, "description": None, "strict": None}},
    ],
    ids=str,
)
def test_a_hint_in_a_tool_changes_nothing(tool: Json) -> None:
    assert chat({**CHAT, "tools": [tool]}) == chat({**CHAT, "tools": [TOOL]})


@pytest.mark.parametrize("strict", [True, False])
def test_strict_of_a_tool_is_honoured_in_each_dialect(strict: bool) -> None:
    given = [
        chat({**CHAT, "tools": [{"type": "function", "function": {**FUNCTION, "strict": strict}}]}),
        responses({**RESPONSES, "tools": [{"type": "function", **FUNCTION, "strict": strict}]}),
        messages({**MESSAGES, "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": strict}]}),
    ]
    assert [request.tools[0].strict for request in given] == [strict] * 3


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "adaptive", "budget_tokens": 0}], ids=str)
def test_adaptive_thinking_has_no_budget(thinking: Json) -> None:
    for convert in (messages, count):
        asked = convert({**MESSAGES, "thinking": thinking}).thinking
        assert (asked.enabled, asked.budget_tokens) == (True, None)


def test_cache_control_in_blocks_and_tools_of_messages_changes_nothing() -> None:
    marked = {
        **MESSAGES,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": EPHEMERAL}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": EPHEMERAL}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": EPHEMERAL}],
    }
    plain = {**MESSAGES, "system": "Be brief.", "tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    assert messages(marked) == messages(plain)
    assert count(marked) == count(plain)


def test_codex_cli_asks_for_what_it_would_ask_without_its_hints() -> None:
    asked = {
        "model": "m",
        "instructions": "You are a coding agent.",
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandboxed."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "ls"}]},
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
            {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"},
            {"type": "function_call_output", "call_id": "c", "output": "a.py"},
        ],
        "tools": [{"type": "function", "name": "shell", "description": "", "strict": False, "parameters": {}}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "service_tier": "priority",
        "prompt_cache_key": "thread",
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "i"},
    }
    hints = ("store", "include", "service_tier", "text", "client_metadata")
    plain = {name: value for name, value in asked.items() if name not in hints}
    plain["reasoning"] = {"effort": "medium"}
    assert responses(asked) == responses(plain)
    assert [message.role for message in responses(asked).messages] == ["system", "system", "user", "assistant", "tool"]


def test_claude_code_asks_for_what_it_would_ask_without_its_hints() -> None:
    asked = {
        **MESSAGES,
        "max_tokens": 32_000,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": EPHEMERAL},
        ],
        "tools": [{"name": "Bash", "description": "Runs.", "input_schema": {"type": "object"}}],
        "thinking": {"type": "adaptive", "budget_tokens": 0},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "metadata": {"user_id": '{"device_id":"d"}'},
        "stream": True,
    }
    plain = {name: value for name, value in asked.items() if name != "context_management"}
    plain |= {"system": "You are Claude Code.", "thinking": {"type": "adaptive"}}
    assert messages(asked) == messages(plain)
    assert replace(messages(asked), user=None) == messages({**plain, "metadata": None})


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", CHAT), ("/v1/responses", RESPONSES), ("/v1/messages", MESSAGES)],
)
async def test_unknown_headers_are_accepted(path: str, body: Json) -> None:
    headers = {
        "anthropic-beta": "claude-code-20250219,context-1m-2025-08-07",
        "anthropic-version": "2030-01-01",
        "openai-organization": "org",
        "openai-project": "proj",
        "openai-beta": "responses=experimental",
        "x-stainless-lang": "python",
        "x-title": "Cline",
        "http-referer": "https://cline.bot",
        "x-openwebui-user-id": "u",
    }
    async with client_of(app_of({"m": ScriptedEngine("m")}), **headers) as client:
        assert (await client.post(path, json=body)).status_code == 200

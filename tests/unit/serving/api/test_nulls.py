"""`null` means "not given" in every object of every body that /openapi.json describes."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from serving.api.dialects.chat_requests import parse_chat
from serving.api.dialects.messages_requests import parse_count, parse_messages
from serving.api.dialects.responses_requests import parse_responses
from serving.api.openapi import COMPONENTS
from serving.api.settings import ApiSettings
from serving.engines.scripted import ScriptedEngine
from serving.runtime.agents import Agent, ThinkingSetting
from tests.support.api import app_of

Json = dict[str, Any]
Place = tuple[int | str, ...]
SETTINGS = ApiSettings()
COMPONENTS_OF = app_of({"m": ScriptedEngine("m")}).openapi()["components"]["schemas"]  # type: ignore[attr-defined]
NULL: Json = {"type": "null"}
CALLERS = ("parameters", "input_schema", "schema")  # JSON schemas, which are the caller's data
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
TEXT: Json = {"type": "text", "text": "hi"}
MOA: Json = {"trace": True}

CHAT: Json = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [TEXT]},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "a",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": [TEXT], "tool_call_id": "c"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "metadata": {"key": "value"},
    "logit_bias": {"5": 1.0},
    "moa": MOA,
}
STRUCTURED: Json = {**CHAT, "response_format": {"type": "text"}, "structured_outputs": {"choice": ["a"]}}
RESPONSES: Json = {
    "model": "m",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "4"}]},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    "reasoning": {"effort": "low"},
    "stream": True,
    "stream_options": {"include_obfuscation": True},
    "metadata": {"key": "value"},
    "moa": MOA,
}
COUNTED: Json = {
    "model": "m",
    "system": [TEXT],
    "messages": [
        {"role": "user", "content": [TEXT]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                TEXT,
                {"type": "tool_use", "id": "c", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [TEXT]}]},
    ],
    "tools": [{"name": "f", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 5},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
}
MESSAGES: Json = {**COUNTED, "max_tokens": 9, "metadata": {"user_id": "u"}, "moa": MOA}
BODIES: list[tuple[Any, str, Json]] = [
    (parse_chat, "ChatBody", CHAT),
    (parse_chat, "ChatBody", STRUCTURED),
    (parse_responses, "ResponsesBody", RESPONSES),
    (parse_messages, "MessagesBody", MESSAGES),
    (parse_messages, "MessagesBody", {**MESSAGES, "thinking": {"type": "adaptive"}, "tool_choice": {"type": "auto"}}),
    (parse_count, "CountTokensBody", COUNTED),
]


def valid(schema: Json, value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator({**schema, "components": {"schemas": COMPONENTS_OF}}).is_valid(value))


def objects(schema: Json, value: Any, place: Place = ()) -> Iterator[tuple[Place, Json]]:
    """Objects in `value` that have a schema, with their places and schemas."""
    if "$ref" in schema:
        schema = COMPONENTS_OF[schema["$ref"].removeprefix(COMPONENTS)]
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            chosen = next(option for option in schema[choices] if valid(option, value))
            yield from objects(chosen, value, place)
            return
    if place[-1:] and place[-1] in CALLERS:
        return
    if isinstance(value, dict) and "properties" in schema:
        yield place, schema
        for name, inner in value.items():
            if name in schema["properties"]:
                yield from objects(schema["properties"][name], inner, (*place, name))
    elif isinstance(value, dict) and valid({"anyOf": [schema.get("additionalProperties", False), NULL]}, None):
        if isinstance(schema.get("additionalProperties"), dict):
            yield place, {"properties": {"7": NULL}, "required": []}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects(schema.get("items", {}), inner, (*place, index))


def with_null(body: Json, place: Place, name: str) -> Json:
    changed = json.loads(json.dumps(body))
    node = changed
    for part in place:
        node = node[part]
    node[name] = None
    return changed  # type: ignore[no-any-return]


def dumped(body: Any) -> Json:
    """Fields of a body. The `moa` object is read later, by `moa_options`, which leaves nulls out."""
    fields: Json = body.model_dump()
    moa = {name: value for name, value in fields.get("moa", {}).items() if value is not None}
    return {**fields, "moa": moa}


CASES = [
    pytest.param(number, place, name, id=f"{model}-{number}-{'.'.join(map(str, place))}-{name}")
    for number, (_, model, body) in enumerate(BODIES)
    for place, schema in objects({"$ref": COMPONENTS + model}, body)
    for name in schema["properties"]
    if name not in schema.get("required", ())
]


def test_all_kinds_of_objects_are_there() -> None:
    """A walk that stops early would test nothing."""
    places = {str(case.values[1]) for case in CASES}
    for wanted in (
        "()",
        "('messages', 0, 'content', 0)",
        "('messages', 2, 'tool_calls', 0, 'function')",
        "('tools', 0, 'function')",
        "('response_format', 'json_schema')",
        "('structured_outputs',)",
        "('metadata',)",
        "('logit_bias',)",
        "('moa',)",
        "('input', 4, 'output', 0)",
        "('text', 'format')",
        "('messages', 2, 'content', 0, 'content', 0)",
        "('output_config',)",
    ):
        assert wanted in places


@pytest.mark.parametrize(("number", "place", "name"), CASES)
def test_a_null_is_accepted_and_described_so(number: int, place: Place, name: str) -> None:
    parse, model, body = BODIES[number]
    changed = with_null(body, place, name)
    parsed = parse(json.dumps(changed).encode(), SETTINGS)
    assert valid({"$ref": COMPONENTS + model}, changed)
    node: Any = body
    for part in place:
        node = node[part]
    if name not in node:
        assert dumped(parsed) == dumped(parse(json.dumps(body).encode(), SETTINGS))


@pytest.mark.parametrize("name", sorted(set(Agent.model_fields) - {"model"}))
def test_a_null_in_an_agent_of_the_moa_object_is_not_given(name: str) -> None:
    assert Agent.model_validate({"model": "a", name: None}) == Agent(model="a")


@pytest.mark.parametrize("name", sorted(ThinkingSetting.model_fields))
def test_a_null_in_an_agents_thinking_is_not_given(name: str) -> None:
    assert ThinkingSetting.model_validate({name: None}) == ThinkingSetting()

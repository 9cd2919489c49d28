"""Schemas in every dialect: the same limits and keywords, each with its own path, before any engine."""

from typing import Any

import orjson
import pytest

from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.dialects.completions_requests import completions_requests, parse_completions
from serving.api.dialects.messages_requests import messages_request, parse_messages
from serving.api.dialects.responses_requests import parse_responses, responses_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.limits import SchemaLimits

CARD = ModelCard("m", "model")
INFO = EngineInfo(tools=True, raw_prompts=True)
SETTINGS = ApiSettings(schemas=SchemaLimits(max_properties=2, max_enum_values=999))
UNHELD: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "string", "not": {"const": "a"}}}}
LARGE: dict[str, Any] = {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}}


def chat(**fields: Any) -> object:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    return to_request(parse_chat(orjson.dumps(body), SETTINGS), CARD, INFO, SETTINGS, "r")


def completions(**fields: Any) -> object:
    body = parse_completions(orjson.dumps({"model": "m", "prompt": "x", **fields}), SETTINGS)
    return completions_requests(body, CARD, INFO, SETTINGS, "r")


def responses(**fields: Any) -> object:
    body = parse_responses(orjson.dumps({"model": "m", "input": "x", **fields}), SETTINGS)
    return responses_request(body, CARD, INFO, SETTINGS, "r")


def messages(**fields: Any) -> object:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9, **fields}
    return messages_request(parse_messages(orjson.dumps(body), SETTINGS), CARD, INFO, SETTINGS, "r")


def json_schema(schema: Any) -> Any:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}


def chat_tool(schema: Any) -> Any:
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}]}


PLACES = [
    (chat, json_schema, "response_format.json_schema.schema"),
    (chat, lambda schema: {"structured_outputs": {"json": schema}}, "structured_outputs.json"),
    (chat, chat_tool, "tools[0].function.parameters"),
    (completions, json_schema, "response_format.json_schema.schema"),
    (completions, lambda schema: {"structured_outputs": {"json": schema}}, "structured_outputs.json"),
    (
        responses,
        lambda schema: {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}},
        "text.format.schema",
    ),
    (
        responses,
        lambda schema: {"tools": [{"type": "function", "name": "f", "parameters": schema, "strict": True}]},
        "tools[0].parameters",
    ),
    (
        messages,
        lambda schema: {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        "output_config.format.schema",
    ),
    (
        messages,
        lambda schema: {"tools": [{"name": "f", "input_schema": schema, "strict": True}]},
        "tools[0].input_schema",
    ),
]


@pytest.mark.parametrize(("ask", "wrap", "path"), PLACES, ids=[f"{ask.__name__}-{path}" for ask, _, path in PLACES])
def test_a_schema_is_refused_by_its_path_in_every_dialect(ask: Any, wrap: Any, path: str) -> None:
    ask(**wrap({"type": "object", "properties": {"x": {"type": "string"}}}))
    with pytest.raises(UnsupportedField) as unheld:
        ask(**wrap(UNHELD))
    assert unheld.value.param == f"{path}.properties.x.not"
    with pytest.raises(InvalidRequest) as large:
        ask(**wrap(LARGE))
    assert str(large.value) == f"Reduce '{path}': it has 3 properties, at most 2 are accepted."


@pytest.mark.parametrize("ask", [chat, completions])
@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("regex", "[a-z]{1,5000}"),
        ("grammar", "root ::= [a-z]{1,5000}"),
        ("structural_tag", "no JSON"),
        ("choice", [str(number) for number in range(1000)]),
    ],
)
def test_other_rules_are_refused_by_their_path(ask: Any, kind: str, rule: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(structured_outputs={kind: rule})
    assert caught.value.param == f"structured_outputs.{kind}"

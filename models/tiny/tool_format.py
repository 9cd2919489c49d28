"""The two formats in which the models read tools and write calls, as text for training.

`tests/unit/models/tiny/test_families.py` compares the texts with the chat templates, which serving uses.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.tiny.templates import CHATML_TOOLS_AFTER, CHATML_TOOLS_BEFORE, LLAMA3_TOOLS_BEFORE
from serving.conversation import ToolCall

Schemas = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One format: the system turn that offers tools, and the text of a call."""

    system: Callable[[str, Schemas], str]  # of the caller's system text and the tools
    call: Callable[[ToolCall], str]
    between_calls: str
    tags: tuple[str, ...]  # tokens of the format that a tokenizer needs
    phrases: tuple[str, ...]  # texts that are one token each


NAME = '"name": "'  # before the name of an offered tool, and before that of a called one
# Texts of the schemas that most clients send, in their orders of keys; other schemas have more tokens.
SCHEMA_PHRASES = (
    '{"type": "function", "function": {',
    '"description": "',
    NAME,
    '", ',
    '", "parameters": {"type": "object", "properties": {"',
    '", "parameters": {"properties": {"',
    '", "parameters": {"additionalProperties": false, "properties": {"',
    '": {"type": "string", "description": "',
    '": {"description": "',
    '": {"type": "string"}}, "required": ["',
    '": {"type": "string"}, "',
    '": {"type": "',
    '": {"title": "',
    '", "type": "string", "description": "',
    '", "type": "string"}}, "required": ["',
    '", "type": "string"}, "',
    '"}}, "required": ["',
    '"}, "',
    '"]}}}',
    '"], "additionalProperties": false}}}',
    '"], "type": "object"}}}',
    '"additionalProperties": false',
    '"type": "object"',
    '": "',
)


def _hermes_system(system: str, tools: Schemas) -> str:
    lines = "".join(f"\n{_text_of(tool)}" for tool in tools)
    return f"{system}\n\n" * bool(system) + CHATML_TOOLS_BEFORE + lines + CHATML_TOOLS_AFTER


def _hermes_call(call: ToolCall) -> str:
    return f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.arguments}}}\n</tool_call>'


def _llama_system(system: str, tools: Schemas) -> str:
    return LLAMA3_TOOLS_BEFORE + "".join(f"{_text_of(tool)}\n\n" for tool in tools) + system.strip()


def _llama_call(call: ToolCall) -> str:
    return f'{{"name": "{call.name}", "parameters": {call.arguments}}}'


def _text_of(tool: Mapping[str, Any]) -> str:
    """The tool as the chat templates write it: the description first."""
    function = tool["function"]
    parts = {key: function[key] for key in ("description", "name", "parameters") if function.get(key)}
    return json.dumps({"type": "function", "function": parts}, ensure_ascii=False)  # as transformers' `tojson`


HERMES = ToolFormat(
    _hermes_system,
    _hermes_call,
    "\n",
    ("<think>", "</think>", "<tool_call>", "</tool_call>"),
    (
        CHATML_TOOLS_BEFORE,
        *filter(None, CHATML_TOOLS_AFTER.replace("</tool_call>", "<tool_call>").split("<tool_call>")),
        '", "arguments": {"',
        '"}}\n',
        "\n<tool_response>\n",
        "\n</tool_response>",
        *SCHEMA_PHRASES,
    ),
)
LLAMA_JSON = ToolFormat(
    _llama_system,
    _llama_call,
    "; ",
    ("<|python_tag|>",),
    (LLAMA3_TOOLS_BEFORE, "ipython", '"}}', '", "parameters": {"', *SCHEMA_PHRASES),
)

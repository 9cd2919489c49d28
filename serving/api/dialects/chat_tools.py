"""Tools and thinking of a chat request: checks that need the whole body or the model, and the domain values."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from serving.api.schemas.chat import ChatBody, ToolBody, ToolCallBody, ToolChoiceBody
from serving.api.schemas.chat_fields import RESERVED_TEMPLATE_ARGS
from serving.conversation import Thinking, Tool, ToolCall, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.limits import SchemaLimits
from serving.grammars.sizes import check_json_bytes
from serving.json_structure import is_deeper
from serving.validation import abbreviated, kind_of, shown

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_DEPTH = 100  # of schemas and template arguments; pickle and orjson fail at a few hundred levels


def check_depth(value: object, path: str) -> None:
    """Check that the field `path` has at most `MAX_DEPTH` levels. Raises `InvalidRequest`."""
    if is_deeper(value, MAX_DEPTH):
        raise InvalidRequest(f"Flatten '{path}': it has more than {MAX_DEPTH} levels.", path)


def tools(body: ChatBody, info: EngineInfo) -> tuple[Tool, ...]:
    """Tools of a request.

    Raises:
        InvalidRequest: a name is invalid or occurs twice, or parameters are not the schema of an object.
        UnsupportedField: the engine does not support tools.
    """
    if not info.tools:
        raise UnsupportedField("tools", f"'{body.model}' does not support tools")
    checked: dict[str, Tool] = {}
    for index, tool in enumerate(body.tools):
        path, function = f"tools[{index}].function", tool.function
        if not NAME.fullmatch(function.name):
            raise InvalidRequest(
                f"Set '{path}.name' to 1 to 64 letters, digits, '_' and '-', not {shown(function.name)}.",
                f"{path}.name",
            )
        if function.name in checked:
            raise InvalidRequest(
                f"Change '{path}.name': there is another tool named '{function.name}'.", f"{path}.name"
            )
        if function.parameters is not None:
            check_parameters(function.parameters, f"{path}.parameters")
        checked[function.name] = Tool(
            function.name, function.description, function.parameters, function.strict, f"{path}.parameters"
        )
    return tuple(checked.values())


def check_parameters(schema: Mapping[str, Any], path: str) -> None:
    """Check that `schema` describes an object. Raises `InvalidRequest`."""
    check_depth(schema, path)
    if "type" in schema and schema["type"] != "object":
        raise InvalidRequest(f"Set '{path}.type' to \"object\", not {shown(schema['type'])}.", f"{path}.type")
    if not isinstance(properties := schema.get("properties", {}), dict):
        raise InvalidRequest(f"Set '{path}.properties' to an object, not {kind_of(properties)}.", f"{path}.properties")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise InvalidRequest(f"Set '{path}.required' to a list of strings.", f"{path}.required")


def tool_choice(choice: ToolChoiceBody, offered: Sequence[ToolBody]) -> ToolChoice:
    """Choice among the tools `offered`.

    Raises:
        InvalidRequest: there are no tools to choose from, or none of them has the chosen name.
    """
    for field in ("function", "allowed_tools"):
        path, given = f"tool_choice.{field}", getattr(choice, field)
        if choice.type != field and given is not None:
            raise InvalidRequest(f"Remove '{path}' or set 'tool_choice.type' to '{field}'.", path)
        if choice.type == field and given is None:
            raise InvalidRequest(f"Set '{path}': the type '{field}' requires it.", path)
    if not offered:
        if choice.type != "none":
            raise InvalidRequest("Set 'tools' to use 'tool_choice', or remove 'tool_choice'.", "tool_choice")
        return ToolChoice()
    names = {tool.function.name for tool in offered}
    if choice.allowed_tools is not None:
        for index, tool in enumerate(choice.allowed_tools.tools):
            _check_offered(tool.function.name, names, f"tool_choice.allowed_tools.tools[{index}].function.name")
        return ToolChoice(choice.allowed_tools.mode)
    if choice.function is not None:
        _check_offered(choice.function.name, names, "tool_choice.function.name")
        return ToolChoice("named", choice.function.name)
    match choice.type:
        case "auto" | "required" | "none" as mode:
            return ToolChoice(mode)
        case _:
            raise AssertionError(choice.type)  # refused above


def _check_offered(name: str, offered: Collection[str], path: str) -> None:
    if name not in offered:
        raise InvalidRequest(f"Set '{path}' to the name of one of the tools, not {shown(name)}.", path)


def allowed(offered: tuple[Tool, ...], choice: ToolChoiceBody | None) -> tuple[Tool, ...]:
    """The tools that the model gets: of `allowed_tools` those that it names, in the order of `tools`."""
    if choice is None or choice.allowed_tools is None:
        return offered
    names = {tool.function.name for tool in choice.allowed_tools.tools}
    return tuple(tool for tool in offered if tool.name in names)


def tool_call(call: ToolCallBody) -> ToolCall:
    """Call in the history of a conversation."""
    return ToolCall(call.id, call.function.name, call.function.arguments)


def check_tool_turns(body: ChatBody, info: EngineInfo) -> None:
    """Check the calls and results in the history of a conversation.

    Raises:
        InvalidRequest: a result belongs to no call of the assistant's message before it.
        UnsupportedField: the engine does not support tools.
    """
    calls: set[str] = set()
    for index, message in enumerate(body.messages):
        if not info.tools and (message.tool_calls or message.role == "tool"):
            field = "tool_calls" if message.tool_calls else "role"
            raise UnsupportedField(f"messages[{index}].{field}", f"'{body.model}' does not support tools")
        if message.role == "assistant":
            calls = {call.id for call in message.tool_calls}
        elif message.role == "tool" and message.tool_call_id not in calls:
            path = f"messages[{index}].tool_call_id"
            raise InvalidRequest(
                f"Set '{path}' to the id of a tool call of the assistant's message before it, not"
                f" {shown(message.tool_call_id)}.",
                path,
            )


def thinking(body: ChatBody, info: EngineInfo) -> Thinking:
    """Thinking that the request asks for.

    Raises:
        UnsupportedField: the request asks for thinking, and the engine does not think.
    """
    effort, budget_tokens = body.reasoning_effort, body.thinking_token_budget
    if info.thinking:
        return Thinking(None if effort is None else effort != "none", effort, budget_tokens)
    if effort not in (None, "none"):
        raise UnsupportedField("reasoning_effort", f"'{body.model}' does not support thinking")
    if budget_tokens:
        raise UnsupportedField("thinking_token_budget", f"'{body.model}' does not support thinking")
    return Thinking()


def template_args(body: ChatBody, limits: SchemaLimits) -> Mapping[str, Any]:
    """Arguments of the chat template, of at most as many bytes as `limits` allow for a schema.

    Raises:
        UnsupportedField: the server sets the argument itself.
        InvalidRequest: the arguments are too deep or too large.
    """
    check_depth(body.chat_template_kwargs, "chat_template_kwargs")
    check_json_bytes(body.chat_template_kwargs, "chat_template_kwargs", limits)
    for name in body.chat_template_kwargs:
        if name in RESERVED_TEMPLATE_ARGS:
            raise UnsupportedField(f"chat_template_kwargs.{abbreviated(name)}", "the server sets it")
    return body.chat_template_kwargs

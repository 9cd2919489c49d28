"""Checks of tools, tool calls and thinking whose rules are those of chat, but whose fields have other names."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from serving.api.dialects.chat_tools import NAME, check_parameters
from serving.conversation import Message, Tool, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.validation import shown

Mode = Literal["none", "auto", "required", "named"]


class NamedTool(Protocol):
    """Fields of a tool that dialects agree on."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str | None: ...

    @property
    def strict(self) -> bool | None: ...


def tools_by_name(
    model: str,
    info: EngineInfo,
    given: Sequence[tuple[str, NamedTool, Mapping[str, Any] | None]],
    schema_field: str,
    *,
    names_checked: bool = False,
) -> dict[str, Tool]:
    """Tools of a request.

    Args:
        model: id of the model, for errors.
        info: its abilities.
        given: of each tool, its path, the tool and its schema.
        schema_field: name of the field that has the schema.
        names_checked: `check_name` was called for the names, which may be longer since then.

    Raises:
        InvalidRequest: a name is invalid or occurs twice, or parameters are not the schema of an object.
        UnsupportedField: the engine does not support tools.
    """
    if given and not info.tools:
        raise UnsupportedField("tools", f"'{model}' does not support tools")
    checked: dict[str, Tool] = {}
    for path, tool, schema in given:
        if not names_checked:
            check_name(tool.name, f"{path}.name")
        if tool.name in checked:
            raise InvalidRequest(f"Change '{path}.name': there is another tool named '{tool.name}'.", f"{path}.name")
        if schema is not None:
            check_parameters(schema, f"{path}.{schema_field}")
        checked[tool.name] = Tool(tool.name, tool.description, schema, tool.strict, f"{path}.{schema_field}")
    return checked


def check_name(name: str, path: str) -> None:
    """Check the name of a function, which is the field at `path`. Raises `InvalidRequest`."""
    if not NAME.fullmatch(name):
        raise InvalidRequest(f"Set '{path}' to 1 to 64 letters, digits, '_' and '-', not {shown(name)}.", path)


def tool_choice(mode: Mode, name: str | None, offered: Mapping[str, Tool], path: str) -> ToolChoice:
    """Choice among the tools `offered`; `path` is its field.

    Raises:
        InvalidRequest: a call is required without tools, or no tool has the chosen name.
    """
    if mode == "named" and name not in offered:
        raise InvalidRequest(f"Set '{path}' to the name of one of the tools, not {shown(name)}.", path)
    if mode == "required" and not offered:
        raise InvalidRequest(f"Set 'tools' to use '{path}', or remove '{path}'.", path)
    return ToolChoice(mode, name) if offered else ToolChoice()


def check_results(
    model: str, info: EngineInfo, messages: Sequence[Message], results: Sequence[tuple[str, Message]]
) -> None:
    """Check the calls and results in the history of a conversation.

    Args:
        model: id of the model, for errors.
        info: its abilities.
        messages: the conversation.
        results: of each result in it, the path of its call's id and its message.

    Raises:
        InvalidRequest: a result belongs to no call of the assistant's message before it.
        UnsupportedField: the engine does not support tools.
    """
    if not info.tools and any(message.tool_calls for message in messages):
        raise UnsupportedField("tools", f"'{model}' does not support tools, so it cannot read earlier tool calls")
    paths = iter(results)
    calls: set[str] = set()
    for message in messages:
        if message.role == "assistant":
            calls = {call.id for call in message.tool_calls}
        elif message.role == "tool":
            path, _ = next(paths)
            if message.tool_call_id not in calls:
                raise InvalidRequest(
                    f"Set '{path}' to the id of a tool call of the answer before it, not"
                    f" {shown(message.tool_call_id)}.",
                    path,
                )


def check_thinking(model: str, info: EngineInfo, path: str, *, wanted: bool) -> None:
    """Raise `UnsupportedField` if thinking is `wanted` by the field `path` of a model that does not think."""
    if wanted and not info.thinking:
        raise UnsupportedField(path, f"'{model}' does not support thinking")

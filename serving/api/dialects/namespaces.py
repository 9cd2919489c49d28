"""Functions in namespaces of the Responses API: one name for the model, two for the client."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.api.dialects.openai_json import Json
from serving.api.dialects.tool_checks import check_name
from serving.api.dialects.unions import parsed_parts, validated
from serving.api.schemas.responses import FunctionTool, NamespaceTool
from serving.api.schemas.wire import Wire
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest

FUNCTIONS: Mapping[str, type[Wire]] = {"function": FunctionTool}
SEPARATOR = "__"


def joined(namespace: str | None, name: str) -> str:
    """Name of a function as the model knows it."""
    return name if namespace is None else f"{namespace}{SEPARATOR}{name}"


def parsed_namespace(fields: Json, path: str) -> NamespaceTool:
    """The object at `path` as a namespace.

    Raises:
        InvalidRequest: a value has the wrong type or is out of range.
        UnsupportedField: a field is unknown or not supported, or a tool is not a function.
    """
    tools = parsed_parts(fields.get("tools"), FUNCTIONS, f"{path}.tools", "tools")
    return validated({**fields, "tools": tools}, NamespaceTool, path)


def functions(
    tools: Sequence[FunctionTool | NamespaceTool], settings: ApiSettings
) -> list[tuple[str, FunctionTool, Mapping[str, Any] | None]]:
    """All functions with their paths and schemas; those of namespaces have the names that the model knows.

    Raises:
        InvalidRequest: a name is invalid, or there are more functions than `settings` allow.
    """
    found: list[tuple[str, FunctionTool, Mapping[str, Any] | None]] = []
    for index, tool in enumerate(tools):
        path = f"tools[{index}]"
        check_name(tool.name, f"{path}.name")
        if isinstance(tool, FunctionTool):
            found.append((path, tool, tool.parameters))
            continue
        for place, function in enumerate(tool.tools):
            check_name(function.name, f"{path}.tools[{place}].name")
            about = "\n".join(text for text in (tool.description, function.description) if text) or None
            named = {"name": joined(tool.name, function.name), "description": about}
            found.append((f"{path}.tools[{place}]", function.model_copy(update=named), function.parameters))
    if len(found) > settings.max_tools:
        raise InvalidRequest(
            f"Shorten 'tools': it has {len(found)} functions, at most {settings.max_tools} are accepted.", "tools"
        )
    return found


def names(tools: Sequence[FunctionTool | NamespaceTool]) -> dict[str, tuple[str, str]]:
    """Namespace and name of each function in a namespace, by the name that the model knows."""
    return {
        joined(tool.name, function.name): (tool.name, function.name)
        for tool in tools
        if isinstance(tool, NamespaceTool)
        for function in tool.tools
    }

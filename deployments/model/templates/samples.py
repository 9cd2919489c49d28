"""Sample turns with which templates are probed; their words occur in no template."""

from collections.abc import Mapping
from typing import Any

from deployments.model.templates.base import SWITCH_ARGS, Turn

SYSTEM: Turn = {"role": "system", "content": "Sys7"}
USER: Turn = {"role": "user", "content": "Use7"}
ANSWER: Turn = {"role": "assistant", "content": "Ans7"}
TOOL: Turn = {
    "type": "function",
    "function": {
        "name": "Too7",
        "description": "Des7",
        "parameters": {"type": "object", "properties": {"Arg7": {"type": "string"}}},
    },
}
TEXT: Turn = {"type": "text", "text": USER["content"]}  # parts of a content
PICTURE: Turn = {"type": "image"}
ARGUMENTS_TEXT = '{"Arg7": "Val7"}'
THINKING_ARGS: Mapping[str, Any] = dict.fromkeys(SWITCH_ARGS, True)


def call(number: int, arguments: Any) -> Turn:
    """Call of `TOOL`; `arguments`: an object or its JSON text."""
    return {"id": f"call0000{number}", "type": "function", "function": {"name": "Too7", "arguments": arguments}}


def called(arguments: Any, content: str | None, number: int = 7) -> Turn:
    """Assistant message with one call."""
    return {"role": "assistant", "content": content, "tool_calls": [call(number, arguments)]}


def result(number: int = 7) -> Turn:
    """Result of the call `number`."""
    return {"role": "tool", "content": f"Res{number}", "name": "Too7", "tool_call_id": f"call0000{number}"}


def tool_turns(arguments: Any, content: str | None) -> list[Turn]:
    """A question, a call of `TOOL` and its result."""
    return [USER, called(arguments, content), result()]

"""Tools and their calls in the shape that chat templates read."""

import json
from collections.abc import Sequence
from typing import Any

from deployments.model.templates.base import Turn
from serving.conversation import Tool
from serving.json_structure import has_more_values

MAX_VALUES = 2**14  # keys, strings, objects and lists in the arguments of a call: parsing holds the interpreter lock


def functions_of(tools: Sequence[Tool]) -> list[Turn]:
    """`tools` in OpenAI's shape, which chat templates expect."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                **({} if tool.description is None else {"description": tool.description}),
                "parameters": {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters,
            },
        }
        for tool in tools
    ]


def argument_object(arguments: str) -> Any:
    """Arguments of a call as JSON; `{}` for none. What is not JSON or cannot be rendered stays the model's own text.

    So do arguments of more than `MAX_VALUES` values.
    """
    if has_more_values(arguments.encode(errors="surrogatepass"), MAX_VALUES):
        return arguments
    try:
        found = json.loads(arguments) if arguments.strip() else {}
        if "\\u" in arguments and not is_text(json.dumps(found, ensure_ascii=False)):
            return arguments
    except (ValueError, RecursionError):  # no JSON, or too deep
        return arguments
    return found


def is_text(*texts: str) -> bool:
    """False if one of `texts` has half of a surrogate pair."""
    try:
        for text in texts:
            text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True

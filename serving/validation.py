"""What is wrong with a value, in one sentence: the one place where pydantic's words become ours."""

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

SHOWN_CHARS = 40  # of the given text in a sentence about it

NOUNS = {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "string_type": "a string",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
BOUNDS = {
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
}
SIZES = {
    "string_too_short": ("at least", "min_length", ("character", "characters")),
    "string_too_long": ("at most", "max_length", ("character", "characters")),
    "too_short": ("at least", "min_length", ("entry", "entries")),
    "too_long": ("at most", "max_length", ("entry", "entries")),
}


@dataclass(frozen=True, slots=True)
class ValidationIssue:
    """`kind` is pydantic's word, `path` the field as one would write it: `messages[0].content`."""

    kind: str
    path: str
    sentence: str
    location: tuple[int | str, ...]
    value: object
    context: dict[str, Any]


def first_issue(error: ValidationError, prefix: str = "", whole: str = "the request") -> ValidationIssue:
    """The first thing that `error` has to say. Huge input is not repeated.

    Args:
        prefix: stands before every path ("moa.").
        whole: what to call the value as a whole, for what is wrong with no single field.
    """
    detail = error.errors(include_url=False)[0]
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    path = prefix + path_of(detail["loc"]) if detail["loc"] else whole
    return ValidationIssue(
        kind, path, _sentence(kind, path, value, context, detail["msg"]), detail["loc"], value, dict(context)
    )


def _sentence(kind: str, path: str, value: object, context: dict[str, Any], said: str) -> str:
    if kind == "missing":
        return f"Set '{path}': it is required."
    if kind == "extra_forbidden":
        return f"Remove '{path}': there is no such field."
    if kind == "literal_error":
        return f"Set '{path}' to {context['expected']}, not {shown(value)}."
    if kind in NOUNS:
        return f"Set '{path}' to {NOUNS[kind]}, not {kind_of(value)}."
    if kind in BOUNDS:
        word, key = BOUNDS[kind]
        return f"Set '{path}' to {word} {context[key]:g}, not {shown(value)}."
    if kind in SIZES:
        word, key, (one, many) = SIZES[kind]
        return f"Give '{path}' {word} {context[key]} {one if context[key] == 1 else many}."
    if kind == "value_error":
        return f"Change '{path}': {str(context['error']).rstrip('.')}."
    return f"Change '{path}': {said[0].lower()}{said[1:].rstrip('.')}."


def path_of(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{short(part)}" if path else short(part)
    return path


def short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"


def shown(value: object) -> str:
    """A value, if it is short enough to be named."""
    if isinstance(value, bool | int | float | str):
        return short(orjson.dumps(value, default=str).decode())
    return kind_of(value)


def kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"

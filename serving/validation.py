"""Validation errors in one sentence each: the only place that translates pydantic's messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from serving.suggestions import nearest

# Parts of a location that are no fields: members of unions, and wrappers of types.
TYPE_PART = re.compile(
    r"(str|int|float|bool|none|bytes|date|datetime|constrained-\w+)"
    r"|(lax-or-strict|json-or-python|function-\w+|is-instance|nullable|literal|list|tuple|set|frozenset|dict|chain)\[.*\]",
    re.DOTALL,
)
SHOWN_CHARS = 40  # of a given text that an error message repeats

TYPE_NAMES = {
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
    """One error of one field."""

    kind: str  # pydantic's error type
    path: str  # the field as a caller writes it: "messages[0].content"
    sentence: str  # for the caller
    location: tuple[int | str, ...]  # the path in parts
    value: object  # the value that was given
    context: dict[str, Any]  # pydantic's details: bounds, expected values


def first_issue(error: ValidationError, prefix: str = "", whole: str = "the request") -> ValidationIssue:
    """First issue of a validation error. Long input is abbreviated.

    Args:
        error: pydantic's error.
        prefix: put before the path ("moa.").
        whole: name of the value as a whole, for an error that belongs to no single field.
    """
    details = error.errors(include_url=False)
    location = _fields(details[0])
    # A value that fits no member of a union has an error of each member; the deepest is of the one that it is meant as.
    same = [detail for detail in details if _fields(detail)[: len(location)] == location]
    detail = max(same, key=lambda detail: len(_fields(detail))) if _fields(same[0]) != same[0]["loc"] else details[0]
    kind, value, context, location = detail["type"], detail.get("input"), detail.get("ctx", {}), _fields(detail)
    path = prefix + path_of(location) if location else whole
    kinds = [other["type"] for other in same if _fields(other) == location]
    sentence = _sentence(kind, path, value, context, detail["msg"])
    if kind == "missing" and (typed := _typed_wrong(details, location)) is not None:
        wrong = prefix + path_of(typed)
        sentence = f"Rename '{wrong}' to '{location[-1]}': there is no field '{abbreviated(str(typed[-1]))}'."
    if kind in TYPE_NAMES and len(kinds) > 1 and all(other in TYPE_NAMES for other in kinds):
        names = list(dict.fromkeys(TYPE_NAMES[other] for other in kinds))
        sentence = f"Set '{path}' to {' or '.join(names)}, not {kind_of(value)}."
    return ValidationIssue(kind, path, sentence, location, value, dict(context))


def _typed_wrong(details: Sequence[ErrorDetails], missing: tuple[int | str, ...]) -> tuple[int | str, ...] | None:
    """Location of an unknown field beside the missing one, whose name is like it."""
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    beside = {str(location[-1]): location for location in unknown if location[:-1] == missing[:-1]}
    alike = nearest(str(missing[-1]), beside)
    return beside[alike] if alike is not None else None


def _fields(detail: ErrorDetails) -> tuple[int | str, ...]:
    """Location of an error without the names of pydantic's own types, which it has for the members of unions."""
    location = detail["loc"]
    named = len(location) - (detail["type"] in ("missing", "extra_forbidden"))  # the last may be called as a type is
    return tuple(part for place, part in enumerate(location) if place >= named or not _is_type(part))


def _is_type(part: int | str) -> bool:
    return isinstance(part, str) and TYPE_PART.fullmatch(part) is not None


def _sentence(kind: str, path: str, value: object, context: dict[str, Any], message: str) -> str:
    if kind == "missing":
        return f"Set '{path}': it is required."
    if kind == "extra_forbidden":
        return f"Remove '{path}': there is no such field."
    if kind == "literal_error":
        return f"Set '{path}' to {context['expected']}, not {shown(value)}."
    if isinstance(value, float) and TYPE_NAMES.get(kind) == "an integer" and value.is_integer():
        return f"Set '{path}' to a smaller integer, not {shown(value)}."
    if kind in TYPE_NAMES:
        return f"Set '{path}' to {TYPE_NAMES[kind]}, not {kind_of(value)}."
    if kind in BOUNDS:
        word, key = BOUNDS[kind]
        bound = context[key]
        return f"Set '{path}' to {word} {bound if isinstance(bound, int) else f'{bound:g}'}, not {shown(value)}."
    if kind in SIZES:
        word, key, (one, many) = SIZES[kind]
        return f"Give '{path}' {word} {context[key]} {one if context[key] == 1 else many}."
    if kind == "renamed":
        return f"Rename '{context['former']}' in {path}: it is now called '{context['current']}'."
    if kind == "string_pattern_mismatch" and str(context["pattern"]).startswith("^[A-Za-z0-9]["):
        return f"Change '{path}': begin with a letter or a digit, then use only letters, digits, '.', '_' and '-'."
    if kind == "value_error":
        return f"Change '{path}': {str(context['error']).rstrip('.')}."
    return f"Change '{path}': {message[0].lower()}{message[1:].rstrip('.')}."


def path_of(location: tuple[int | str, ...]) -> str:
    """Location in a value, written as a path."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{abbreviated(part)}" if path else abbreviated(part)
    return path


def abbreviated(text: str) -> str:
    """Text cut to `SHOWN_CHARS` characters."""
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"


def shown(value: object) -> str:
    """JSON of a scalar value, abbreviated; of any other value its type."""
    if isinstance(value, bool | int | float | str):
        return abbreviated(orjson.dumps(value, default=str).decode())
    return kind_of(value)


def kind_of(value: object) -> str:
    """Type of a value, as a noun of JSON with its article."""
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

"""Members of `oneOf`, which a grammar can tell apart: no value fits two of them."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import orjson

from serving.grammars.references import References

NUMBERS = {"integer", "number"}


def overlapping(options: list[Any], references: References) -> int | None:
    """Index of the first of `options` that is not told apart from one before it; None if all are.

    Two are told apart by their types, by their values, or by a property that has other values in the one than in the
    other and is required in at least one of them.
    """
    known = [references.resolved(option) for option in options]
    for (_, first), (index, second) in combinations(enumerate(known), 2):
        if not _apart(first, second, references):
            return index
    return None


def _apart(first: Any, second: Any, references: References) -> bool:
    if not isinstance(first, dict) or not isinstance(second, dict):
        return False
    values, others = _values(first), _values(second)
    if values is not None and others is not None:
        return not values & others
    kinds, other_kinds = _kinds(first), _kinds(second)
    if kinds and other_kinds and not kinds & other_kinds and not (kinds & NUMBERS and other_kinds & NUMBERS):
        return True
    properties, other_properties = first.get("properties"), second.get("properties")
    if not isinstance(properties, dict) or not isinstance(other_properties, dict):
        return False
    if kinds != other_kinds or len(kinds) > 1:
        return False
    required = {*_names(first.get("required")), *_names(second.get("required"))}
    for name in required & properties.keys() & other_properties.keys():
        one = _values(references.resolved(properties[name]))
        other = _values(references.resolved(other_properties[name]))
        if one is not None and other is not None and not one & other:
            return True
    return False


def _kinds(schema: dict[str, Any]) -> set[str]:
    """Types of the values, as far as the schema says."""
    if (values := _values(schema)) is not None:
        return {kind_of_json(orjson.loads(value)) for value in values}
    given = schema.get("type")
    if given is None:
        return {"object"} if "properties" in schema else set()
    return {*_names([given] if isinstance(given, str) else given)}


def _values(schema: Any) -> set[bytes] | None:
    """The only possible values, as JSON; None if the schema does not list them."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return {_json(schema["const"])}
    if isinstance(schema.get("enum"), list):
        return {_json(value) for value in schema["enum"]}
    return None


def _json(value: Any) -> bytes:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _names(value: object) -> Iterable[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def kind_of_json(value: Any) -> str:
    """Type of a value, as JSON Schema calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"

"""Members of `oneOf`, which a grammar can tell apart: no value fits two of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import orjson

from serving.grammars.references import References

NUMBERS = frozenset({"integer", "number"})


@dataclass(frozen=True, slots=True)
class _Option:
    """Facts of one member. Values are JSON; None: they are not listed."""

    values: frozenset[bytes] | None
    kinds: frozenset[str]
    required: frozenset[str]
    properties: dict[str, frozenset[bytes]]  # those whose values are listed


def overlapping(options: list[Any], references: References) -> int | None:
    """Index of the first of `options` that is not told apart from one before it; None if all are.

    Two are told apart by their types, by their values, or by a property that has other values in the one than in the
    other and is required in at least one of them.
    """
    known = [_option(references.resolved(option), references) for option in options]
    for (_, first), (index, second) in combinations(enumerate(known), 2):
        if first is None or second is None or not _apart(first, second):
            return index
    return None


def _option(schema: Any, references: References) -> _Option | None:
    if not isinstance(schema, dict):
        return None
    properties = schema.get("properties")
    listed = {
        name: values
        for name, value in (properties if isinstance(properties, dict) else {}).items()
        if (values := _values(references.resolved(value))) is not None
    }
    return _Option(_values(schema), _kinds(schema), frozenset(_names(schema.get("required"))), listed)


def _apart(first: _Option, second: _Option) -> bool:
    if first.values is not None and second.values is not None:
        return first.values.isdisjoint(second.values)
    kinds, others = first.kinds, second.kinds
    if kinds and others and kinds.isdisjoint(others) and (kinds.isdisjoint(NUMBERS) or others.isdisjoint(NUMBERS)):
        return True
    if kinds != others or len(kinds) > 1:
        return False
    return any(
        name in second.properties
        and (name in first.required or name in second.required)
        and values.isdisjoint(second.properties[name])
        for name, values in first.properties.items()
    )


def _kinds(schema: dict[str, Any]) -> frozenset[str]:
    """Types of the values, as far as the schema says."""
    if (values := _values(schema)) is not None:
        return frozenset(kind_of_json(orjson.loads(value)) for value in values)
    given = schema.get("type")
    if given is None:
        return frozenset({"object"} if "properties" in schema else ())
    return frozenset(_names([given] if isinstance(given, str) else given))


def _values(schema: Any) -> frozenset[bytes] | None:
    """The only possible values, as JSON; None if the schema does not list them."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return frozenset({_json(schema["const"])})
    if isinstance(schema.get("enum"), list):
        return frozenset(_json(value) for value in schema["enum"])
    return None


def _json(value: Any) -> bytes:
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    """`value` with 1.0 as 1. A float beyond 64 bits equals no integer that JSON is read into."""
    match value:
        case float() if value.is_integer() and -(2**63) <= value < 2**64:
            return int(value)
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case _:
            return value


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

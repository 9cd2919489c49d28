"""Sizes of JSON schemas against the operator's limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from serving.errors import InvalidRequest
from serving.grammars.limits import SchemaLimits
from serving.grammars.nodes import Place, walk
from serving.grammars.patterns import pattern_facts
from serving.json_structure import is_deeper
from serving.validation import path_of

NOUNS = {
    "bytes": "bytes of JSON",
    "properties": "properties",
    "enum_values": "values of 'enum'",
    "alternatives": "alternatives ('anyOf', 'oneOf', lists of types)",
    "definitions": "definitions",
    "prefix_items": "members of 'prefixItems'",
    "patterns": "patterns",
}
NUMBERS = {  # keywords with the limit of their value
    "minLength": "max_length",
    "maxLength": "max_length",
    "minItems": "max_items",
    "maxItems": "max_items",
    "minProperties": "max_properties",
    "maxProperties": "max_properties",
    "multipleOf": "max_multiple",
}


@dataclass(slots=True)
class SchemaSize:
    """Counts of one schema, or the sums of several; keys as in `NOUNS`."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NOUNS, 0))

    def add(self, counts: Mapping[str, int]) -> None:
        """Add the counts of another schema."""
        for name, count in counts.items():
            self.counts[name] += count

    def check(self, path: str, limits: SchemaLimits, factor: int = 1) -> None:
        """Raise `InvalidRequest` for the field `path` if a count is above its limit, times `factor`."""
        for name, count in self.counts.items():
            limit = getattr(limits, f"max_{name}") * factor
            if count > limit:
                raise InvalidRequest(
                    f"Reduce '{path}': it has {count} {NOUNS[name]}, at most {limit} are accepted.", path
                )


def check_bytes(value: Any, path: str, limits: SchemaLimits) -> int:
    """Size of `value`, in bytes of JSON. Raises `InvalidRequest` if it is too large, too deep, or no JSON."""
    if is_deeper(value, limits.max_depth):
        raise InvalidRequest(f"Flatten '{path}': it has more than {limits.max_depth} levels.", path)
    return check_json_bytes(value, path, limits)


def check_json_bytes(value: Any, path: str, limits: SchemaLimits) -> int:
    """Size of `value`, in bytes of JSON. Raises `InvalidRequest` if it is too large, or no JSON."""
    try:
        size = len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        raise InvalidRequest(
            f"Change '{path}': it has an integer of more than 64 bits, or a text that is not Unicode.", path
        ) from None
    if size > limits.max_bytes:
        raise InvalidRequest(
            f"Reduce '{path}': it has {size} bytes of JSON, at most {limits.max_bytes} are accepted.", path
        )
    return size


def check_size(schema: Mapping[str, Any], path: str, limits: SchemaLimits) -> SchemaSize:
    """Sizes of the schema at the field `path`. Raises `InvalidRequest` with the path of what is too large."""
    size = SchemaSize()
    size.counts["bytes"] = check_bytes(schema, path, limits)
    for place, _, one in walk(schema):
        if isinstance(one, dict):
            size.add(_counts(one))
            _check_values(one, place, path, limits)
    size.check(path, limits)
    return size


def _counts(schema: Mapping[str, Any]) -> dict[str, int]:
    def many(*keys: str) -> int:
        return sum(len(schema[key]) for key in keys if isinstance(schema.get(key), dict | list))

    return {
        "properties": many("properties", "patternProperties"),
        "enum_values": many("enum"),
        "alternatives": many("anyOf", "oneOf") + max(many("type") - 1, 0),
        "definitions": many("$defs", "definitions"),
        "prefix_items": many("prefixItems"),
        "patterns": ("pattern" in schema) + many("patternProperties"),
    }


def _check_values(schema: Mapping[str, Any], place: Place, path: str, limits: SchemaLimits) -> None:
    for key, setting in NUMBERS.items():
        value = schema.get(key)
        limit = getattr(limits, setting)
        if isinstance(value, int | float) and value > limit:
            field = joined(path, (*place, key))
            raise InvalidRequest(f"Set '{field}' to at most {limit}.", field)
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and len(properties) > limits.max_optional_properties:
        names = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        optional = len(properties.keys() - names)
        if optional > limits.max_optional_properties:
            field = joined(path, (*place, "properties"))
            raise InvalidRequest(
                f"Reduce '{field}': it has {optional} properties that are not in 'required', at most"
                f" {limits.max_optional_properties} are accepted.",
                field,
            )
    named = schema.get("patternProperties")
    keyed: list[tuple[Place, Any]] = [(("pattern",), schema.get("pattern"))]
    keyed += [(("patternProperties", name), name) for name in named] if isinstance(named, dict) else []
    for keys, pattern in keyed:
        if isinstance(pattern, str):
            check_pattern(pattern, joined(path, (*place, *keys)), limits)


def check_pattern(pattern: str, path: str, limits: SchemaLimits) -> None:
    """Raise `InvalidRequest` if the expression at the field `path` is too long, or repeats too often."""
    check_chars(pattern, path, limits.max_pattern_chars)
    check_repetition(pattern_facts(pattern, in_json=False).repetition, path, limits)


def check_chars(text: str, path: str, limit: int) -> None:
    """Raise `InvalidRequest` if the text at the field `path` has more than `limit` characters."""
    if len(text) > limit:
        raise InvalidRequest(f"Shorten '{path}': it has {len(text)} characters, at most {limit} are accepted.", path)


def check_repetition(repetition: int, path: str, limits: SchemaLimits) -> None:
    """Raise `InvalidRequest` if a part of the rule at the field `path` is repeated too often."""
    limit = limits.max_repetition
    if repetition > limit:
        raise InvalidRequest(
            f"Change '{path}': it repeats a part up to {repetition} times, at most {limit} are accepted.", path
        )


def joined(path: str, place: Place) -> str:
    """Path of a place within the field `path`."""
    inner = path_of(place)
    return path + ("" if not inner else inner if inner.startswith("[") else f".{inner}")

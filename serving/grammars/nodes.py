"""Schemas within a JSON schema, with their places."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]
Place = tuple[int | str, ...]

NESTED = (
    *("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "additionalItems"),
    *("propertyNames", "contains", "not", "if", "then", "else"),
)
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
MAPPINGS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


class Node(NamedTuple):
    """A schema, or what stands where one belongs."""

    place: Place
    keyword: str  # of the schema around it, in which it stands; "": it is the whole document
    schema: Any


def walk(root: Schema) -> Iterator[Node]:
    """Each schema within `root`, `root` itself first, in the order of the text.

    Values of `enum`, `default` and unknown keywords are no schemas.
    """
    waiting = [Node((), "", root)]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node.schema, dict):
            waiting.extend(reversed([*_within(node.place, node.schema)]))


def _within(place: Place, schema: Schema) -> Iterator[Node]:
    for key, value in schema.items():
        if key in MAPPINGS and isinstance(value, dict):
            for name, inner in value.items():
                yield Node((*place, key, name), key, inner)
        elif key in LISTS and isinstance(value, list):
            for index, inner in enumerate(value):
                yield Node((*place, key, index), key, inner)
        elif key in NESTED:
            yield Node((*place, key), key, value)

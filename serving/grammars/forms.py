"""JSON schemas as the grammar engine has to read them."""

from copy import deepcopy
from typing import Any

from serving.grammars.nodes import Schema, walk

WHOLE = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "multipleOf")
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def for_grammar(schema: Schema) -> dict[str, Any]:
    """A copy of `schema` with the same meaning.

    The engine reads `format` in place of `pattern` if both are there, although `format` is an annotation; and 2.0 is
    no whole number to it.
    """
    copied = deepcopy(dict(schema))
    for node in walk(copied):
        if not isinstance(node.schema, dict):
            continue
        if "pattern" in node.schema:
            node.schema.pop("format", None)
        for key in (*WHOLE, *BOUNDS):
            value = node.schema.get(key)
            if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
                node.schema[key] = int(value)
    return copied

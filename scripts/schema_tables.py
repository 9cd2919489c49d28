"""Parts of tables of fields, from JSON schemas that pydantic makes: types, bounds, defaults."""

import re
from typing import Any

import orjson

Json = dict[str, Any]
TYPES = {
    "number": "number",
    "integer": "integer",
    "string": "string",
    "boolean": "boolean",
    "array": "list",
    "object": "mapping",
}
BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "minLength": "≥ {} characters",
    "maxLength": "≤ {} characters",
    "minItems": "≥ {} entries",
    "maxItems": "≤ {} entries",
}
BEYOND = 2**31 - 2  # larger bounds are those of the integer's width


def bounds_of(node: Json) -> str:
    """Bounds of a value, such as "≥ 1, ≤ 64"; that a text or a list is not empty is no bound worth a cell."""
    return ", ".join(
        text.format(node[key])
        for key, text in BOUNDS.items()
        if key in node and abs(node[key]) < BEYOND and (key, node[key]) not in (("minLength", 1), ("minItems", 1))
    )


def type_of(node: Json, sections: dict[str, str]) -> str:
    """Type of a value in Markdown.

    Args:
        node: the value's schema.
        sections: title of the section about each class, by its name in the schema.
    """
    if "$ref" in node:
        title = sections[node["$ref"].rpartition("/")[2]]
        return f"[{title}](#{anchor(title)})"
    if "anyOf" in node:
        kinds = [type_of(option, sections) for option in node["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    kind = TYPES[node["type"]]
    if kind == "list":
        return f"list of {type_of(node['items'], sections)}"
    inner = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), True)
    return f"{kind} of names to {type_of(inner, sections)}" if kind == "mapping" and isinstance(inner, dict) else kind


def default_of(node: Json, name: str, required: list[str]) -> str:
    """Default of a field; empty for nothing, and for a group of settings, which has a table of its own."""
    value = node.get("default")
    if name in required:
        return "required"
    return "" if value in (None, "", [], {}) or "$ref" in node else f"`{orjson.dumps(value).decode()}`"


def anchor(title: str) -> str:
    """Anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")

"""Keywords of JSON schemas of which a grammar holds nothing, or not in that place. Tests try each with the real engine.

A keyword that is not here is an annotation, and has no effect on the text: `title`, `description`, `default`,
`examples`, `deprecated`, `contentEncoding`, formats that JSON Schema does not define, and unknown words.
"""

from collections.abc import Iterator
from math import inf
from typing import Any

from serving.grammars.alternatives import Alternatives, Budget, TooManyComparisons, kind_of_json
from serving.grammars.nodes import Node, Place, walk
from serving.grammars.patterns import MANY, pattern_facts
from serving.grammars.references import References

TYPES = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
STRING = frozenset({"pattern", "format", "minLength", "maxLength"})
NUMBER = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
ARRAY = frozenset({"items", "prefixItems", "minItems", "maxItems", "unevaluatedItems"})
OBJECT = frozenset(
    {"properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties"}
    | {"maxProperties", "unevaluatedProperties"}
)
FORMS = (
    "$ref",
    "const",
    "enum",
    "anyOf",
    "oneOf",
    "allOf",
)  # the engine reads the first, and nothing beside it
ASSERTIONS = STRING | NUMBER | ARRAY | OBJECT | {"type", *FORMS}
REFUSED = (
    *("not", "if", "dependentRequired", "dependentSchemas", "dependencies", "contains"),
    *("$dynamicRef", "$recursiveRef"),
)
COUNTS = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties"))
BOUNDS = (("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum"))
# Formats that JSON Schema defines and the engine does not hold; of others that it does not know it is an annotation.
UNHELD_FORMATS = frozenset({"regex", "idn-email", "idn-hostname", "iri", "iri-reference"})
HELD_FORMATS = frozenset(
    {"email", "date", "time", "date-time", "duration", "ipv4", "ipv6", "hostname", "uuid", "uri", "uri-reference"}
    | {"uri-template", "json-pointer", "relative-json-pointer"}
)
MAYBE_EMPTY = frozenset({"uri-reference", "uri-template", "json-pointer"})
MAY_BE_FALSE = ("items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties")
Issue = tuple[Place, str]  # the keyword, and a sentence from a verb on, whose first {} is the keyword's path


def unheld(root: Any, budget: Budget | None = None) -> Issue | None:
    """First keyword of a schema that the grammar engine would ignore, or could not read; None: it holds all.

    `budget`: comparisons of values that the members of `oneOf` may take; None: one for this schema alone.
    """
    nodes = [*walk(root)]
    references = References({node.place: node.schema for node in nodes})
    alternatives = Alternatives(references, Budget() if budget is None else budget)
    for node in nodes:
        for keys, sentence in _issues(node, references, alternatives):
            return (*node.place, *keys), sentence
    if (endless := references.endless()) is not None:
        return (*endless, "$ref"), "Remove '{}': every value of that schema would contain itself without an end"
    return None


def _remove(why: str) -> str:
    return "Remove '{}': " + why


UNHELD = _remove("the grammar that holds the answer cannot hold this keyword")


def _issues(node: Node, references: References, alternatives: Alternatives) -> Iterator[Issue]:
    schema = node.schema
    if schema is False and node.keyword not in MAY_BE_FALSE:
        yield (), _remove("no value satisfies it")
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield (), "Set '{}' to a schema: an object, true or false"
        return
    for key in REFUSED:
        if key in schema:
            yield (key,), UNHELD
    if schema.get("uniqueItems") not in (None, False):
        yield ("uniqueItems",), UNHELD
    yield from _shapes(schema)
    yield from _form(schema, references, alternatives)
    kinds = _kinds(schema, node.keyword)
    yield from _untyped(schema, kinds)
    if "string" in kinds:
        yield from _string(schema)
    if kinds & {"integer", "number"}:
        yield from _number(schema, kinds)
    if "object" in kinds:
        yield from _object(schema)


def _kinds(schema: dict[str, Any], keyword: str = "") -> frozenset[str]:
    """Types that the engine makes a grammar for; none if the schema says nothing of them."""
    given = schema.get("type")
    if given is not None:
        return frozenset([given] if isinstance(given, str) else given)
    if keyword == "propertyNames":
        return frozenset({"string"})
    if OBJECT & schema.keys() - {"required", "minProperties", "maxProperties"}:
        return frozenset({"object"})
    return frozenset({"array"}) if {"items", "prefixItems"} & schema.keys() else frozenset()


def _shapes(schema: dict[str, Any]) -> Iterator[Issue]:
    """Values of keywords that are none."""
    given = schema.get("type", "null")
    kinds = [given] if isinstance(given, str) else given
    if not isinstance(kinds, list) or not kinds or not all(isinstance(kind, str) and kind in TYPES for kind in kinds):
        yield ("type",), "Set '{}' to " + ", ".join(sorted(TYPES)) + " or a list of these"
        return
    for key in ("pattern", "format"):
        if key in schema and not isinstance(schema[key], str):
            yield (key,), "Set '{}' to a text"
            return
    if "items" in schema and isinstance(schema["items"], list):
        yield ("items",), "Set '{}' to one schema; write a list of them as 'prefixItems'"
    for key in ("anyOf", "oneOf", "allOf", "enum", "prefixItems"):
        if key in schema and (not isinstance(schema[key], list) or not schema[key]):
            yield (key,), "Set '{}' to a list with at least one entry"
    for key in ("properties", "patternProperties", "$defs", "definitions"):
        if key in schema and not isinstance(schema[key], dict):
            yield (key,), "Set '{}' to an object"
    for least, most in COUNTS:
        for key in (least, most):
            if key in schema and not _whole(schema[key], 0):
                yield (key,), "Set '{}' to a whole number from 0"
                return
        if least in schema and most in schema and schema[least] > schema[most]:
            yield (least,), f"Set '{{}}' to at most '{most}'"
    for least, most in BOUNDS:
        for key in (least, most):
            if key in schema and not _number_like(schema[key]):
                yield (key,), "Set '{}' to a number"
                return
        if least in schema and most in schema and schema[least] > schema[most]:
            yield (least,), f"Set '{{}}' to at most '{most}'"


def _number_like(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -inf < value < inf


def _whole(value: object, least: int) -> bool:
    if isinstance(value, float):
        return value.is_integer() and least <= value < MANY
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < MANY


def _form(schema: dict[str, Any], references: References, alternatives: Alternatives) -> Iterator[Issue]:
    """Issues of a reference, of listed values and of alternatives: the engine ignores what is beside them."""
    form = next((form for form in FORMS if form in schema), None)
    if form is None:
        return
    listed = form in ("const", "enum")
    for key in schema:
        if key not in ASSERTIONS or key == form or (listed and key in ("type", "enum")):
            continue
        kept, removed = (form, key) if listed or form == "$ref" or key in FORMS else (key, form)
        yield (removed,), _remove(f"beside '{kept}' the grammar that holds the answer cannot hold it")
    if form == "$ref" and references.place(schema["$ref"]) is None:
        yield (
            ("$ref",),
            "Point '{}' at a schema of this document, such as '#/$defs/NAME', without '~' and '%'",
        )
    elif listed:
        yield from _listed(schema)
    elif form == "allOf" and len(schema["allOf"]) > 1:
        yield ("allOf",), "Merge the entries of '{}' into one: the grammar that holds the answer reads a single one"
    elif form == "oneOf" and "discriminator" not in schema:
        yield from _one_of(schema["oneOf"], alternatives)


def _one_of(options: list[Any], alternatives: Alternatives) -> Iterator[Issue]:
    try:
        index = alternatives.overlapping(options)
    except TooManyComparisons:
        yield (
            ("oneOf",),
            "Simplify '{}': telling its entries apart takes too many comparisons; give each a required property with"
            " 'const', or write 'anyOf'",
        )
        return
    if index is not None:
        yield (
            ("oneOf", index),
            "Tell '{}' apart from the entries before it, by its type, by 'const', or by a required property with"
            " 'const', or write 'anyOf'",
        )


def _listed(schema: dict[str, Any]) -> Iterator[Issue]:
    values = schema.get("enum", [])
    if "const" in schema:
        if any(value != schema["const"] for value in values):
            yield ("enum",), _remove("beside 'const' the grammar that holds the answer cannot hold it")
        values = [schema["const"]]
    if "type" not in schema:
        return
    kinds = _kinds(schema)
    for index, value in enumerate(values):
        kind = kind_of_json(value)
        if kind not in kinds and not (kind == "integer" and "number" in kinds):
            keys: Place = ("const",) if "const" in schema else ("enum", index)
            yield keys, _remove("it is not of the 'type' beside it")


def _untyped(schema: dict[str, Any], kinds: frozenset[str]) -> Iterator[Issue]:
    """Keywords without the type that they belong to, which the engine ignores."""
    if "type" in schema or any(form in schema for form in FORMS):
        return
    for group, kind in ((STRING, "string"), (NUMBER, "number"), (ARRAY, "array"), (OBJECT, "object")):
        if kind in kinds:
            continue
        for key in schema:
            if key in group:
                yield ("type",), f"Set '{{}}': without it, the grammar that holds the answer ignores '{key}'"


def _string(schema: dict[str, Any]) -> Iterator[Issue]:
    shortest, longest, rule = 0, MANY, ""
    if "pattern" in schema:
        facts = pattern_facts(schema["pattern"])
        if facts.problem is not None:
            yield ("pattern",), f"Change '{{}}': the grammar that holds the answer cannot hold {facts.problem}"
        shortest, longest, rule = facts.shortest, facts.longest, "pattern"
    elif "format" in schema:
        if schema["format"] in UNHELD_FORMATS:
            yield ("format",), UNHELD
        if schema["format"] in HELD_FORMATS:
            shortest, rule = int(schema["format"] not in MAYBE_EMPTY), "format"
    if rule and schema.get("minLength", 0) > shortest:
        yield ("minLength",), _remove(f"beside '{rule}' the grammar that holds the answer cannot hold it")
    if rule and schema.get("maxLength", MANY) < longest:
        yield ("maxLength",), _remove(f"beside '{rule}' the grammar that holds the answer cannot hold it")


def _number(schema: dict[str, Any], kinds: frozenset[str]) -> Iterator[Issue]:
    if "multipleOf" in schema:
        if "number" in kinds:
            yield ("multipleOf",), _remove("the grammar that holds the answer can hold it for the type 'integer' only")
        elif not _whole(schema["multipleOf"], 1):
            yield ("multipleOf",), "Set '{}' to a whole number from 1"
        elif NUMBER & schema.keys() - {"multipleOf"}:
            yield ("multipleOf",), _remove("beside a bound the grammar that holds the answer cannot hold it")
    if "integer" in kinds:
        for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            value = schema.get(key, 0)
            if value != int(value) or abs(value) >= 2**63:
                yield (key,), "Set '{}' to a whole number of at most 63 bits"


def _object(schema: dict[str, Any]) -> Iterator[Issue]:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield ("required",), "Set '{}' to a list of names"
        return
    for index, name in enumerate(required):
        if name not in properties:
            yield ("required", index), "Remove '{}', or add the property to 'properties'"
    patterns = schema.get("patternProperties", {})
    if patterns and ("properties" in schema or "propertyNames" in schema or len(patterns) > 1):
        yield (
            ("patternProperties",),
            _remove("the grammar that holds the answer can hold it with one pattern, and without 'properties'"),
        )
    for pattern in patterns:
        if (problem := pattern_facts(pattern).problem) is not None:
            yield (
                ("patternProperties", pattern),
                f"Change '{{}}': the grammar that holds the answer cannot hold {problem}",
            )
    if "propertyNames" in schema and "properties" in schema:
        yield ("propertyNames",), _remove("beside 'properties' the grammar that holds the answer cannot hold it")

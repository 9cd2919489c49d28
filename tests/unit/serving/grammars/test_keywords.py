"""Each keyword of JSON Schema against the real grammar engine: it holds the keyword, or the schema is refused."""

import json
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from xgrammar import GrammarCompiler, GrammarMatcher, TokenizerInfo

from serving.grammars.forms import for_grammar
from serving.grammars.keywords import unheld
from serving.grammars.sizes import joined

END = 256
INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
A = {"A": INTEGER}


def obj(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required], **more}


def text(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, **more}


@cache
def compiler() -> GrammarCompiler:
    return GrammarCompiler(TokenizerInfo([*(bytes([byte]) for byte in range(256)), b"</s>"], stop_token_ids=[END]))


def accepts(schema: dict[str, Any], document: bytes) -> bool:
    """True if a model that is held to `schema` can write `document`."""
    matcher = GrammarMatcher(compiler().compile_json_schema(json.dumps(for_grammar(schema))))
    return matcher.accept_string(document) and matcher.accept_token(END)


NODE = obj({"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}}, "next", additionalProperties=False)
TAGGED = [obj({"k": {"const": name}, "v": INTEGER}, "k", "v") for name in ("a", "b")]
# Schema, a document that satisfies it, one that does not.
HELD: list[tuple[dict[str, Any], Any, Any]] = [
    ({"type": "string"}, "a", 1),
    ({"type": ["string", "null"], "maxLength": 3}, None, "abcd"),
    ({"type": ["string", "null"], "pattern": "^a$"}, "a", "b"),
    ({"type": ["string", "null"], "format": "date"}, "2024-01-01", "x"),
    ({"type": ["integer", "null"], "minimum": 3}, 5, 1),
    ({"type": ["integer", "null"], "multipleOf": 2}, 4, 3),
    ({"type": ["array", "null"], "items": INTEGER, "maxItems": 1}, [1], [1, 2]),
    ({"type": ["object", "null"], "properties": A, "required": ["A"]}, {"A": 1}, {}),
    ({"type": "string", "minLength": 3}, "abc", "ab"),
    ({"type": "string", "maxLength": 3}, "abc", "abcd"),
    ({"type": "string", "maxLength": 3.0}, "abc", "abcd"),
    ({"enum": ["a", 1, None]}, 1, "b"),
    ({"type": "string", "enum": ["a", "b"], "title": "T"}, "b", "c"),
    ({"const": "a", "enum": ["a"], "type": "string"}, "a", "b"),
    ({"type": "integer", "minimum": 3, "maximum": 5}, 4, 6),
    ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 6}, 4, 3),
    ({"type": "integer", "minimum": 3, "exclusiveMinimum": 5}, 6, 4),
    ({"type": "integer", "minimum": 3.0}, 3, 2),
    ({"type": "number", "minimum": 1.5, "maximum": 2}, 1.75, 1.25),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5, 1.0),
    ({"type": "integer", "multipleOf": 100}, 200, 150),
    ({"type": "integer", "multipleOf": 1000}, -2000, 1500),
    (text("^a{2,3}$"), "aa", "aaaa"),
    (text("^(?:a|b)+?$"), "ab", "c"),
    (text('^[^"\\\\a]+$'), "b", "a"),
    (text("^\\d{4}-\\d{2}$"), "2024-01", "2024-1"),
    (text("^\\x41\\u0042\\u{43}$"), "ABC", "ABD"),
    (text("^2.*$", format="date"), "2024-01-01", "3024-01-01"),
    (text("^a{2,3}$", minLength=1, maxLength=5), "aa", "aaaa"),
    *(
        ({"type": "string", "format": name}, right, "\\ {")
        for name, right in {
            "date": "2024-01-01",
            "time": "00:00:00Z",
            "date-time": "2024-01-01T00:00:00Z",
            "duration": "P1D",
            "email": "a@b.co",
            "hostname": "a.b",
            "ipv4": "1.2.3.4",
            "ipv6": "::1",
            "uri": "http://a.b/c",
            "uri-reference": "/a",
            "uri-template": "/a/{b}",
            "uuid": "123e4567-e89b-12d3-a456-426614174000",
            "json-pointer": "/a",
            "relative-json-pointer": "0",
        }.items()
    ),
    ({"type": "string", "format": "email", "minLength": 1}, "a@b.co", "x"),
    ({"type": "array", "items": INTEGER}, [1], ["a"]),
    ({"type": "array", "items": False}, [], [1]),
    ({"type": "array", "items": INTEGER, "minItems": 2}, [1, 2], [1]),
    ({"type": "array", "items": INTEGER, "uniqueItems": False}, [1, 1], ["a"]),
    ({"type": "array", "prefixItems": [INTEGER], "items": {"type": "string"}, "minItems": 2}, [1, "a"], [1]),
    ({"type": "array", "prefixItems": [INTEGER], "items": False}, [1], [1, 2]),
    ({"type": "array", "prefixItems": [INTEGER], "unevaluatedItems": {"type": "string"}}, [1, "a"], [1, 2]),
    ({"properties": A, "required": ["A"]}, {"A": 1}, {}),
    (obj(A, "A", additionalProperties=False), {"A": 1}, {"A": 1, "B": 2}),
    (obj(A, additionalProperties=True), {"A": 1, "B": 2}, {"A": "x"}),
    (obj(A, additionalProperties={"type": "string"}), {"A": 1, "B": "x"}, {"A": 1, "B": 2}),
    (obj(A, unevaluatedProperties=False), {"A": 1}, {"A": 1, "B": 2}),
    (obj({"A": INTEGER, "B": INTEGER}, minProperties=1), {"A": 1}, {}),
    (obj({"A": INTEGER, "B": INTEGER}, maxProperties=1), {"A": 1}, {"A": 1, "B": 2}),
    ({"type": "object", "patternProperties": {"^a.*$": INTEGER}}, {"a1": 1}, {"a1": "x"}),
    ({"type": "object", "patternProperties": {"^a$": INTEGER}, "minProperties": 1}, {"a": 1}, {}),
    ({"type": "object", "propertyNames": {"pattern": "^a$"}, "additionalProperties": INTEGER}, {"a": 1}, {"b": 1}),
    ({"type": "object", "propertyNames": {"maxLength": 2}, "additionalProperties": True}, {"aa": 1}, {"aaa": 1}),
    ({"type": "object", "propertyNames": {"enum": ["a"]}, "additionalProperties": True}, {"a": 1}, {"b": 1}),
    ({"anyOf": [INTEGER, {"type": "null"}], "default": None, "title": "T"}, None, "a"),
    ({"oneOf": [INTEGER, {"type": "null"}]}, None, "a"),
    ({"oneOf": [{"const": value} for value in (None, True, 1.5, "a", [1], {"a": 1})]}, 1.5, 2.5),
    ({"oneOf": [TEXT, {"const": 1}, {"const": None}, {"enum": [[1], {"a": 1}, 2.5, False]}]}, None, True),
    ({"oneOf": [{"properties": A}, {"type": "array", "items": INTEGER}]}, [1], "a"),
    ({"oneOf": [{"$ref": "#/$defs/A"}, TEXT], "$defs": A}, 1, None),
    ({"oneOf": TAGGED}, {"k": "b", "v": 1}, {"k": "b", "v": "x"}),
    ({"oneOf": TAGGED, "discriminator": {"propertyName": "k"}}, {"k": "a", "v": 1}, {"k": "c", "v": 1}),
    ({"allOf": [{"$ref": "#/$defs/A"}], "description": "D", "$defs": A}, 1, "a"),
    ({"$ref": "#/$defs/A", "$defs": A}, 1, "a"),
    ({"$ref": "#/definitions/A", "title": "T", "definitions": A}, 1, "a"),
    (obj({"a": INTEGER, "b": {"$ref": "#/properties/a"}}, "b"), {"b": 1}, {"b": "x"}),
    ({"$ref": "#/$defs/N", "$defs": {"N": NODE}}, {"next": {"next": None}}, {"next": 1}),
    (obj({"n": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "n", additionalProperties=False), {"n": None}, {"n": 1}),
    ({"$id": "https://x.org/y", "$schema": "https://json-schema.org/draft/2020-12/schema", **INTEGER}, 1, "a"),
    (obj({"a": True, "not": INTEGER, "if": INTEGER}, "not"), {"not": 1}, {"not": "x"}),
    ({"type": "string", "nullable": True, "readOnly": True, "x-any": 1, "examples": [1]}, "a", 1),
]
WITHOUT_END = {"A": obj({"n": {"$ref": "#/$defs/A"}}, "n")}
UNHELD_PATTERNS = [
    *(
        "^(?!a)b$",
        "^(?=a)a$",
        "(?<=a)b",
        "^(a)\\1$",
        "\\bx",
        "^a$b",
        "(^a|b)",
        "a^",
        "(a$)",
        "\\p{L}",
        "a{,3}",
        "(?i)a",
    ),
    *('^"$', "\\\\", "\\n", "[\\t]", "\\u0022", '["]', "\n", "a\\", "(a", "a)", "[", "[]", "*", "(?<x", "a{3,2}"),
    "(" * 60 + ")" * 60,
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "integer", "not": {"const": 1}}, "not"),
    ({"type": "integer", "if": {"minimum": 3}, "then": {"maximum": 5}}, "if"),
    (obj(A, dependentRequired={"A": ["b"]}), "dependentRequired"),
    (obj(A, dependentSchemas={"A": {}}), "dependentSchemas"),
    (obj(A, dependencies={"A": ["b"]}), "dependencies"),
    ({"type": ["array", "null"], "uniqueItems": True}, "uniqueItems"),
    ({"type": ["number", "null"], "multipleOf": 2}, "multipleOf"),
    ({"type": "integer", "multipleOf": 0.5}, "multipleOf"),
    ({"type": "integer", "multipleOf": 100, "minimum": 5}, "multipleOf"),
    ({"type": "array", "items": INTEGER, "contains": {"const": 1}, "minContains": 2}, "contains"),
    ({"type": "array", "items": [INTEGER]}, "items"),
    ({"minimum": 3}, "type"),
    ({"pattern": "^a$"}, "type"),
    ({"required": ["a"]}, "type"),
    ({"properties": A, "maxLength": 3}, "type"),
    ({"type": "banana"}, "type"),
    ({"type": []}, "type"),
    ({"enum": []}, "enum"),
    ({"anyOf": []}, "anyOf"),
    ({"type": "string", "enum": ["a", 1]}, "enum[1]"),
    ({"type": "string", "const": 1}, "const"),
    ({"enum": ["a", "bb"], "maxLength": 1}, "maxLength"),
    ({"const": "a", "enum": ["a", "b"]}, "enum"),
    (text("^a+$", maxLength=2), "maxLength"),
    (text("^a+$", minLength=2), "minLength"),
    ({"type": "string", "format": "email", "maxLength": 9}, "maxLength"),
    ({"type": "string", "format": "email", "minLength": 9}, "minLength"),
    ({"type": "string", "format": "idn-email"}, "format"),
    ({"type": "string", "format": "regex"}, "format"),
    *((text(pattern), "pattern") for pattern in UNHELD_PATTERNS),
    ({"type": "string", "pattern": 1}, "pattern"),
    ({"type": "integer", "minimum": 2.5}, "minimum"),
    ({"type": "integer", "maximum": 10**20}, "maximum"),
    ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, "exclusiveMinimum"),
    ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
    ({"type": "integer", "minimum": "5"}, "minimum"),
    ({"type": "string", "minLength": 5, "maxLength": 3}, "minLength"),
    ({"type": "string", "minLength": "5"}, "minLength"),
    ({"type": "string", "maxLength": -1}, "maxLength"),
    ({"type": "string", "maxLength": 2.5}, "maxLength"),
    (obj(A, "b"), "required[0]"),
    ({"type": "object", "required": "a"}, "required"),
    ({"type": "object", "properties": []}, "properties"),
    ({"type": "integer", "enum": [1, 1.5]}, "enum[1]"),
    ({"type": "number", "const": True}, "const"),
    (obj({"a": False}), "properties.a"),
    (obj({"a": 1}), "properties.a"),
    (obj(A, patternProperties={"^a$": INTEGER}), "patternProperties"),
    ({"type": "object", "patternProperties": {"^a$": INTEGER, "^b$": INTEGER}}, "patternProperties"),
    ({"type": "object", "patternProperties": {"(?!a)": INTEGER}}, "patternProperties.(?!a)"),
    (obj(A, propertyNames={"enum": ["A"]}), "propertyNames"),
    ({"type": "integer", "anyOf": [{"type": "integer", "minimum": 5}]}, "anyOf"),
    ({"oneOf": [{"type": "string"}], "anyOf": [{"type": "string"}]}, "oneOf"),
    ({"oneOf": [INTEGER, {"type": "number"}]}, "oneOf[1]"),
    ({"oneOf": [obj(A, "A"), obj({"B": INTEGER}, "B")]}, "oneOf[1]"),
    ({"oneOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]}, "oneOf[1]"),
    ({"oneOf": [True, INTEGER]}, "oneOf[1]"),
    ({"oneOf": [{"const": 1}, {"enum": [2, 1.0]}]}, "oneOf[1]"),
    ({"oneOf": [{"type": "array", "items": INTEGER}, {"type": "array", "items": A["A"]}]}, "oneOf[1]"),
    ({"oneOf": [obj({"k": TEXT}, "k"), obj({"k": {"const": "b"}}, "k")]}, "oneOf[1]"),
    ({"oneOf": [obj(A), {"type": ["object", "null"], "properties": A}]}, "oneOf[1]"),
    ({"allOf": [obj(A, "A"), obj({"B": INTEGER}, "B")]}, "allOf"),
    ({"allOf": [{"type": "integer", "minimum": 3}], "maximum": 5}, "allOf"),
    ({"$ref": "#/$defs/A", "maximum": 3, "$defs": A}, "maximum"),
    ({"$ref": "https://x.org/y.json"}, "$ref"),
    ({"$ref": "#/$defs/B", "$defs": A}, "$ref"),
    ({"$ref": "#/$defs/A~1B", "$defs": {"A/B": INTEGER}}, "$ref"),
    ({"$ref": "#A", "$defs": {"A": {"$anchor": "A", **INTEGER}}}, "$ref"),
    ({"$ref": 1}, "$ref"),
    ({"$dynamicRef": "#A"}, "$dynamicRef"),
    ({"type": "array", "items": {"$recursiveRef": "#"}}, "items.$recursiveRef"),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "$ref"),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}}, "$ref"),
    ({"$ref": "#/$defs/A", "$defs": WITHOUT_END}, "$ref"),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}, "minItems": 1}}}, "$ref"),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}}, "$ref"),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), HELD, ids=[json.dumps(schema)[:60] for schema, _, _ in HELD])
def test_a_keyword_is_held(schema: dict[str, Any], right: Any, wrong: Any) -> None:
    assert unheld(schema) is None
    assert accepts(schema, json.dumps(right).encode())
    assert not accepts(schema, json.dumps(wrong).encode())


@pytest.mark.parametrize(("schema", "path"), REFUSED, ids=[json.dumps(schema)[:60] for schema, _ in REFUSED])
def test_a_keyword_that_no_grammar_holds_is_refused(schema: dict[str, Any], path: str) -> None:
    issue = unheld({"type": "object", "properties": {"x": schema}} if "$defs" not in schema else schema)
    assert issue is not None
    place, sentence = issue
    assert joined("", place).removeprefix(".properties.x").lstrip(".") == path.removeprefix(".")
    assert sentence.startswith(("Remove '{}'", "Change '{}'", "Set '{}'", "Point '{}'", "Merge ", "Tell '{}'"))


def test_a_chain_of_definitions_ends_in_any_order() -> None:
    names = [f"D{(7 * place) % 64}" for place in range(64)]
    defs: dict[str, Any] = {name: obj({"n": {"$ref": f"#/$defs/{after}"}}, "n") for name, after in pairwise(names)}
    defs[names[-1]] = INTEGER
    assert unheld({"$ref": f"#/$defs/{names[0]}", "$defs": defs}) is None
    defs[names[-1]] = {"$ref": f"#/$defs/{names[0]}"}
    assert unheld({"$ref": f"#/$defs/{names[0]}", "$defs": defs}) is not None


def test_the_engine_gets_the_same_meaning() -> None:
    given = {"type": "string", "pattern": "^a$", "format": "x", "maxLength": 3.0, "default": {"format": 2.0}}
    assert for_grammar(given) == {"type": "string", "pattern": "^a$", "maxLength": 3, "default": {"format": 2.0}}
    assert given["format"] == "x"

"""Anything as a rule for texts: it is accepted, or it is the caller's fault; never another exception."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serving.conversation import Tool, ToolChoice
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.check import check_format, check_tools
from serving.grammars.forms import for_grammar
from serving.grammars.keywords import ASSERTIONS, FORMS, REFUSED, TYPES
from serving.grammars.limits import SchemaLimits
from serving.grammars.nodes import LISTS, MAPPINGS, NESTED
from serving.types import ResponseFormat

LIMITS = SchemaLimits()
KEYWORDS = sorted({*ASSERTIONS, *FORMS, *REFUSED, *LISTS, *MAPPINGS, *NESTED, "uniqueItems", "discriminator"})
EDGES = [2**70, -(2**64), 2**63, 10**30, 1e30, float("nan"), float("inf"), float("-inf"), -0.0, 1e-300, True]
TEXTS = ["a{x}", "a{5,3}", "{", "{2}", "a{99999999999}", "{}", "{0}", "{field!r}", "\ud800", "(?=a)", "[", "email"]
POINTERS = ["#", "#/", "#/$defs/a", "#/properties/a", "#/$defs/{}", "elsewhere"]

texts = (
    st.sampled_from([*TEXTS, *POINTERS, *sorted(TYPES)])
    | st.text(max_size=8)
    | st.text("{}[]()\\/\"'|,~1a", max_size=8)
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(EDGES) | texts
names = st.sampled_from(["a", "b", "{}", "type", "schema", "json_schema", "pattern", "grammar", "format"]) | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names, inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4)
    ),
    max_leaves=20,
)


def likely(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas whose keywords mostly have values that belong there."""
    shapes: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(NESTED, inner | st.booleans()),
        **dict.fromkeys(MAPPINGS, st.dictionaries(names, inner, max_size=3)),
        **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), st.lists(inner, min_size=1, max_size=3)),
        "enum": st.lists(scalars, min_size=1, max_size=3),
        "type": st.sampled_from(sorted(TYPES)),
        "required": st.lists(names, max_size=2),
        "$ref": st.sampled_from(POINTERS),
        "pattern": texts,
    }
    usual = {key: shapes.get(key, scalars) for key in KEYWORDS}
    return st.fixed_dictionaries({}, optional=usual) | st.lists(st.sampled_from(KEYWORDS), max_size=3).flatmap(
        lambda keys: st.fixed_dictionaries({key: usual[key] for key in keys})
    )


objects = st.recursive(likely(scalars), likely, max_leaves=6)
schemas = objects | st.dictionaries(st.sampled_from(KEYWORDS) | names, values, max_size=5)
thorough = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def refusal(kind: str, **rule: Any) -> InvalidRequest | None:
    """The error of a rule; None if it is accepted. What else is raised fails the test."""
    try:
        check_format(ResponseFormat(kind, path="s", **rule), LIMITS)  # type: ignore[arg-type]
        return None
    except InvalidRequest as raised:
        error = raised
    assert str(error.param).startswith("s")
    assert str(error.param) in str(error)  # the path is filled in, whatever braces the caller's text has
    return error


@given(schemas)
@thorough
def test_any_json_is_a_schema_or_the_callers_fault(schema: dict[str, Any]) -> None:
    if refusal("json_schema", schema=schema) is None:
        json.dumps(for_grammar(schema))


@given(schemas)
@thorough
def test_any_json_as_the_parameters_of_a_strict_tool(schema: dict[str, Any]) -> None:
    for strict in (True, False):
        with suppress(InvalidRequest):
            check_tools([Tool("a", None, schema, strict, "tools[0]")], ToolChoice(), LIMITS)


@given(values | st.fixed_dictionaries({"type": st.just("structural_tag"), "format": values, "schema": schemas}))
@thorough
def test_any_json_as_a_structural_tag(tag: Any) -> None:
    refusal("structural_tag", rule=json.dumps(tag))
    refusal("structural_tag", rule=json.dumps({"type": "json_schema", "json_schema": tag}))


@given(texts | st.text("{}[]()\\/\"'|,~1a^$*+?", max_size=30))
@example("a{99999999999}")
@example("{1," + '"' * 40)
@thorough
def test_any_text_as_a_rule(text: str) -> None:
    for kind in ("regex", "grammar", "structural_tag"):
        refusal(kind, rule=text)
    refusal("choice", choices=(text,))
    refusal("json_schema", schema={"type": "string", "pattern": text, "format": text})
    refusal("json_schema", schema={"type": "object", "patternProperties": {text: {"type": "string"}}})
    refusal(
        "structural_tag", rule=json.dumps([{"type": "regex", "pattern": text}, {"type": "grammar", "grammar": text}])
    )


@pytest.mark.parametrize(
    ("pattern", "word"),
    [("a{x}", "write '\\{'"), ("a{5,3}", "'{5,3}'"), ("{", "'{'"), ("{2}", "'{'"), ("a{99999999999}", "write '\\{'")],
)
def test_the_braces_of_a_pattern_stay_in_the_message(pattern: str, word: str) -> None:
    error = refusal("json_schema", schema={"type": "string", "pattern": pattern})
    assert error is not None
    assert str(error).startswith("Change 's.pattern': ")
    assert word in str(error)
    named = refusal("json_schema", schema={"type": "object", "patternProperties": {pattern: {"type": "string"}}})
    assert named is not None
    assert named.param == f"s.patternProperties.{pattern}"
    assert f"Change '{named.param}': " in str(named)
    assert word in str(named)


@pytest.mark.parametrize("given_format", [[], {}, 1, True])
def test_a_format_that_is_no_text_is_refused(given_format: Any) -> None:
    error = refusal("json_schema", schema={"type": "string", "format": given_format})
    assert str(error) == "Set 's.format' to a text."


@pytest.mark.parametrize("value", [1e30, 2**64 - 1, -(2**63), 1.0, 2**53 * 4.0])
def test_large_values_are_told_apart(value: float) -> None:
    assert refusal("json_schema", schema={"oneOf": [{"const": value}, {"const": 7}]}) is None
    same = [{"const": value}, {"const": float(value) if value != 2**64 - 1 else value}]
    assert isinstance(refusal("json_schema", schema={"oneOf": same}), InvalidRequest)
    inner = [{"const": {"a": [one["const"]]}} for one in same]
    assert isinstance(refusal("json_schema", schema={"oneOf": inner}), InvalidRequest)


@pytest.mark.parametrize("value", [2**70, -(2**64), "\ud800"])
def test_what_the_wire_cannot_hold_is_refused(value: Any) -> None:
    error = refusal("json_schema", schema={"oneOf": [{"const": value}, {"const": 1}]})
    assert str(error) == "Change 's': it has an integer of more than 64 bits, or a text that is not Unicode."


@pytest.mark.parametrize(
    "tag",
    [
        '{"a":"\\ud800"}',
        '{"json_schema":{"minimum":1e999}}',
        '{"json_schema":{"minimum":NaN}}',
        "[Infinity]",
        "9" * 5000,
    ],
)
def test_a_tag_of_what_is_no_json_is_refused(tag: str) -> None:
    error = refusal("structural_tag", rule=tag)
    assert str(error) == "Set 's' to a structural tag of xgrammar, as JSON."


def test_a_tag_with_a_large_integer_is_read() -> None:
    assert refusal("structural_tag", rule='{"type":"x","v":1000000000000000000000000000000}') is None
    bound = '{"type":"json_schema","json_schema":{"type":"integer","minimum":1000000000000000000000000000000}}'
    assert str(refusal("structural_tag", rule=bound)) == "Set 's.minimum' to a whole number of at most 63 bits."


@pytest.mark.parametrize("bound", [float("nan"), float("inf")])
def test_a_bound_that_is_no_finite_number_is_refused(bound: float) -> None:
    error = refusal("json_schema", schema={"type": "integer", "minimum": bound})
    assert not isinstance(error, UnsupportedField)
    assert str(error) == "Set 's.minimum' to a number."

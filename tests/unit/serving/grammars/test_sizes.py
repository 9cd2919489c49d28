"""Limits of rules for texts: what is at a limit passes, what is beyond it is refused by its path."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from serving.conversation import Tool, ToolChoice
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.check import check_format, check_tools, checked
from serving.grammars.limits import SchemaLimits
from serving.grammars.patterns import MANY, pattern_facts
from serving.grammars.texts import grammar_repetition
from serving.types import GenerateRequest, ResponseFormat, Sampling

TEXT = {"type": "string"}


def obj(names: list[str], *, required: bool = True) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(names, TEXT), "required": names if required else []}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = TEXT
    for _ in range((levels - 1) // 2):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema if levels % 2 else {"anyOf": [schema]}


Make = Callable[[int], dict[str, Any]]
LIMITS: list[tuple[str, int, Make, str]] = [  # the setting, a value of it, a schema that has so much, the path beyond
    ("max_bytes", 200, lambda n: {"description": "x" * (n - len('{"description":""}'))}, "s"),
    ("max_depth", 9, deep, "s"),
    ("max_properties", 7, lambda n: obj([f"p{i}" for i in range(n)]), "s"),
    ("max_properties", 7, lambda n: {"anyOf": [obj([f"p{i}" for i in range(n - 1)]), obj(["a"])]}, "s"),
    ("max_optional_properties", 7, lambda n: obj([f"p{i}" for i in range(n)], required=False), "s.properties"),
    ("max_optional_properties", 7, lambda n: {"not": obj(["a"] * n, required=False), **TEXT}, ""),
    ("max_enum_values", 7, lambda n: {"enum": list(range(n))}, "s"),
    ("max_alternatives", 7, lambda n: {"anyOf": [{"anyOf": [TEXT] * (n - 2)}, TEXT]}, "s"),
    ("max_alternatives", 3, lambda n: {"type": ["string", "null", "boolean", "integer", "array"][: n + 1]}, "s"),
    ("max_definitions", 7, lambda n: {**TEXT, "$defs": {f"D{i}": TEXT for i in range(n)}}, "s"),
    ("max_prefix_items", 7, lambda n: {"type": "array", "prefixItems": [TEXT] * n, "items": False}, "s"),
    ("max_items", 7, lambda n: {"items": {"type": "array", "items": TEXT, "maxItems": n}}, "s.items.maxItems"),
    ("max_items", 7, lambda n: {"type": "array", "items": TEXT, "minItems": n}, "s.minItems"),
    ("max_length", 7, lambda n: {"type": "string", "minLength": n}, "s.minLength"),
    ("max_length", 7, lambda n: {"anyOf": [{"type": "string", "maxLength": n}]}, "s.anyOf[0].maxLength"),
    ("max_multiple", 7, lambda n: {"type": "integer", "multipleOf": n}, "s.multipleOf"),
    ("max_patterns", 3, lambda n: {"properties": {f"p{i}": {**TEXT, "pattern": "a"} for i in range(n)}}, "s"),
    ("max_pattern_chars", 7, lambda n: {**TEXT, "pattern": "a" * n}, "s.pattern"),
    ("max_repetition", 7, lambda n: {**TEXT, "pattern": f"^(ab?){{1,{n}}}$"}, "s.pattern"),
    ("max_repetition", 7, lambda n: {"patternProperties": {f"a{{{n}}}": TEXT}}, "s.patternProperties.a{8}"),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "limit", "make", "path"), LIMITS, ids=[f"{row[0]}-{row[3]}" for row in LIMITS])
def test_a_schema_beyond_a_limit_is_refused_by_its_path(setting: str, limit: int, make: Make, path: str) -> None:
    limits = SchemaLimits(**{setting: limit})  # type: ignore[arg-type]
    if not path:  # duplicate names are one property
        with pytest.raises(UnsupportedField):
            check_format(ResponseFormat("json_schema", schema=make(limit + 1), path="s"), limits)
        return
    check_format(ResponseFormat("json_schema", schema=make(limit), path="s"), limits)
    with pytest.raises(InvalidRequest) as caught:
        check_format(ResponseFormat("json_schema", schema=make(limit + 1), path="s"), limits)
    assert caught.value.param == path
    assert str(limit) in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "setting", "limit"),
    [
        (lambda n: ResponseFormat("choice", choices=("a",) * n, path="s"), "max_enum_values", 3),
        (lambda n: ResponseFormat("choice", choices=("a" * (n - 4),), path="s"), "max_bytes", 70),
        (lambda n: ResponseFormat("regex", rule="a" * n, path="s"), "max_pattern_chars", 3),
        (lambda n: ResponseFormat("regex", rule=f'("{{{n}}})', path="s"), "max_repetition", 3),
        (lambda n: ResponseFormat("grammar", rule="a" * n, path="s"), "max_grammar_chars", 3),
        (lambda n: ResponseFormat("grammar", rule=f"root ::= [a]{{1,{n}}}", path="s"), "max_repetition", 3),
        (lambda n: ResponseFormat("structural_tag", rule=f'{{"a": "{"x" * (n - 8)}"}}', path="s"), "max_bytes", 70),
        (
            lambda n: ResponseFormat("structural_tag", rule=f'[{{"type": "regex", "pattern": "a{{{n}}}"}}]', path="s"),
            "max_repetition",
            3,
        ),
        (
            lambda n: ResponseFormat("structural_tag", rule=f'{{"type": "grammar", "grammar": "{"a" * n}"}}', path="s"),
            "max_grammar_chars",
            3,
        ),
        (
            lambda n: ResponseFormat("structural_tag", rule=f'{{"json_schema": {{"enum": {[1] * n}}}}}', path="s"),
            "max_enum_values",
            3,
        ),
    ],
)
def test_other_rules_have_the_same_limits(rule: Callable[[int], ResponseFormat], setting: str, limit: int) -> None:
    limits = SchemaLimits(**{setting: limit})  # type: ignore[arg-type]
    check_format(rule(limit), limits)
    with pytest.raises(InvalidRequest) as caught:
        check_format(rule(limit + 1), limits)
    assert caught.value.param == "s"


@pytest.mark.parametrize("rule", ["no JSON", "[" * 10_000])
def test_a_structural_tag_that_is_no_json_is_refused(rule: str) -> None:
    with pytest.raises(InvalidRequest, match="Set 's' to a structural tag"):
        check_format(ResponseFormat("structural_tag", rule=rule, path="s"), SchemaLimits())


def test_an_expression_that_no_grammar_holds_is_refused() -> None:
    check_format(ResponseFormat("regex", rule='"\\n\\\\', path="s"), SchemaLimits())  # it is no part of JSON
    with pytest.raises(InvalidRequest, match="cannot hold a lookahead"):
        check_format(ResponseFormat("regex", rule="(?=a)", path="s"), SchemaLimits())


def test_the_abuse_of_the_issue_is_refused_with_the_default_limits() -> None:
    for schema in (
        obj([f"field_{i}" for i in range(2000)], required=False),
        {"enum": list(range(200_000))},
        {"anyOf": [obj([f"p{i}_{j}" for j in range(30)]) for i in range(200)]},
        {"type": "string", "pattern": "[a-z]{1,5000}"},
        {"type": "string", "pattern": "([a-z]{1,30}){1,30}"},
    ):
        with pytest.raises(InvalidRequest):
            check_format(ResponseFormat("json_schema", schema=schema), SchemaLimits())


LOOSE = {"type": "object", "properties": {"a": {"not": {"const": 1}}, "b": {}}}


def request(*tools: Tool, mode: Any = "auto") -> GenerateRequest:
    return GenerateRequest("r", (), Sampling(), tools=tools, tool_choice=ToolChoice(mode))


def test_tools_that_are_not_strict_may_contain_anything_within_the_limits() -> None:
    loose = Tool("a", None, LOOSE, None, "tools[0].function.parameters")
    for mode in ("auto", "required", "none"):
        asked = request(loose, mode=mode)
        assert checked(asked, SchemaLimits()) is asked
    strict = Tool("a", None, LOOSE, True, "tools[0].function.parameters")
    checked(request(strict, mode="none"), SchemaLimits())
    with pytest.raises(UnsupportedField) as caught:
        checked(request(strict), SchemaLimits())
    assert caught.value.param == "tools[0].function.parameters.properties.a.not"
    with pytest.raises(InvalidRequest) as too_large:
        checked(request(loose), SchemaLimits(max_properties=1))
    assert too_large.value.param == "tools[0].function.parameters"


def test_all_tools_together_are_limited() -> None:
    tools = [Tool(f"t{i}", None, obj(["a", "b"])) for i in range(4)]
    limits = SchemaLimits(max_properties=2, tools_factor=4)
    check_tools([*tools, Tool("none")], ToolChoice(), limits)
    with pytest.raises(InvalidRequest, match="Reduce 'tools': it has 10 properties, at most 8 are accepted"):
        check_tools([*tools, Tool("t", None, obj(["a", "b"]))], ToolChoice(), limits)


def test_repetitions_of_groups_are_multiplied() -> None:
    assert pattern_facts("^((a{1,3}b){2,5}|c{4})*$").repetition == 15
    facts = pattern_facts("^(?<x>a|bcd){2,5}e?$")
    assert (facts.shortest, facts.longest) == (2, 16)
    assert pattern_facts("a{3,}b").longest >= MANY
    assert pattern_facts("a{3,}b").repetition == 3


@pytest.mark.parametrize(
    ("grammar", "repetition"),
    [
        ('root ::= "x{500}" [{9}] a # {7}\na ::= "b"', 1),
        ("root ::= [a-z]{1,20} b{3}\nb ::= [0-9]{4,}", 20),
        ("root ::= [a-z]{30,}", 30),
        ("start: WORD~1..30\nWORD: /[a-z]{99}/", 30),
    ],
)
def test_the_largest_repetition_of_a_grammar_is_found(grammar: str, repetition: int) -> None:
    assert grammar_repetition(grammar) == repetition


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"properties": {"x": {"type": "banana"}}},
            "Set 's.properties.x.type' to array, boolean, integer, null, number, object, string or a list of these.",
        ),
        (
            {"anyOf": [{"type": "string", "not": {}}]},
            "Remove 's.anyOf[0].not': the grammar that holds the answer cannot hold this keyword.",
        ),
        (
            {"type": "string", "pattern": "\\cA"},
            "Change 's.pattern': the grammar that holds the answer cannot hold '\\c',"
            " which JSON writes with a backslash.",
        ),
    ],
)
def test_the_error_says_what_to_change(schema: dict[str, Any], message: str) -> None:
    sampling = Sampling(response_format=ResponseFormat("json_schema", schema=schema, path="s"))
    with pytest.raises(InvalidRequest) as caught:
        checked(GenerateRequest("r", (), sampling), SchemaLimits())
    assert str(caught.value) == message


def test_control_characters_of_plain_expressions_are_read() -> None:
    assert pattern_facts("\\cA\\x00b", in_json=False).longest == 3


ENDLESS = ["[", '["', '"\\', "/a\\", '/"[', "{1 ", "~1 "]  # pieces that begin what never ends


def cpu_seconds(text: str) -> float:
    """Least of three: what else runs on the machine is not measured."""

    def once() -> float:
        begun = time.process_time()
        grammar_repetition(text)
        return time.process_time() - begun

    return min(once() for _ in range(3))


@pytest.mark.parametrize("piece", ENDLESS)
def test_the_work_for_a_grammar_grows_with_its_length(piece: str) -> None:
    small, large = cpu_seconds(piece * 2_000), cpu_seconds(piece * 8_000)
    assert large < max(small, 0.001) * 10  # four times the text; 16 times the work if each piece looked at all behind


@pytest.mark.parametrize("bound", ["{1,", "{", "~"])
def test_blanks_within_a_bound_of_a_grammar_are_read_once(bound: str) -> None:
    small, large = (cpu_seconds(bound + " " * blanks) for blanks in (3_000, 12_000))
    assert large < max(small, 0.001) * 10


@pytest.mark.parametrize(
    ("text", "repetition"),
    [
        ('"a{9}" [b{9}]{2} /c{9}/{3} # {9}', 3),
        ('"a{9} \n b{4}', 9),  # a text without an end is none
        ('[a{9} "]" {4}', 4),
        ("// {9}\na~2..5", 5),
        ("a{ 1 , 6 }", 6),
        ("a{0000000000007}", 7),
        ("a{99999999999}", MANY),
    ],
)
def test_repetitions_of_a_grammar_are_those_outside_of_texts(text: str, repetition: int) -> None:
    assert grammar_repetition(text) == repetition

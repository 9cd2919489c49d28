"""Checks of a request's rules for texts before any engine: their sizes, and the keywords of its JSON schemas."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from serving.conversation import Tool, ToolChoice
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.alternatives import Budget
from serving.grammars.keywords import unheld
from serving.grammars.limits import SchemaLimits
from serving.grammars.nodes import Schema
from serving.grammars.patterns import pattern_facts
from serving.grammars.sizes import (
    SchemaSize,
    check_bytes,
    check_chars,
    check_pattern,
    check_repetition,
    check_size,
    joined,
)
from serving.grammars.texts import grammar_repetition
from serving.json_structure import has_more_values
from serving.types import GenerateRequest, ResponseFormat


def checked(request: GenerateRequest, limits: SchemaLimits) -> GenerateRequest:
    """Return `request`, whose rules for texts are within `limits`.

    Raises:
        InvalidRequest: a rule is too large or wrong. The path is that of the keyword.
        UnsupportedField: a schema has a keyword that no grammar holds.
    """
    if request.sampling.response_format is not None:
        check_format(request.sampling.response_format, limits)
    if request.tools:
        check_tools(request.tools, request.tool_choice, limits)
    return request


def check_format(wanted: ResponseFormat, limits: SchemaLimits) -> None:
    """Check the rule for the answer's text. Raises as `checked`."""
    path = wanted.path
    match wanted.type:
        case "json_schema":
            check_size(wanted.schema or {}, path, limits)
            check_held(wanted.schema or {}, path, Budget())
        case "choice":
            check_bytes([*wanted.choices], path, limits)
            size = SchemaSize()
            size.counts["enum_values"] = len(wanted.choices)
            size.check(path, limits)
        case "regex":
            check_pattern(wanted.rule, path, limits)
            if (problem := pattern_facts(wanted.rule, in_json=False).problem) is not None:
                raise InvalidRequest(f"Change '{path}': a grammar cannot hold {problem}.", path)
        case "grammar":
            check_chars(wanted.rule, path, limits.max_grammar_chars)
            check_repetition(grammar_repetition(wanted.rule), path, limits)
        case "structural_tag":
            _check_tag(wanted.rule, path, limits)


def check_tools(tools: Sequence[Tool], choice: ToolChoice, limits: SchemaLimits) -> None:
    """Check the parameters of tools, each and all together; their keywords if a tool is strict. Raises as `checked`."""
    total = SchemaSize()
    given = [(tool, tool.parameters) for tool in tools if tool.parameters is not None]
    for tool, parameters in given:  # all sizes before any keyword, which costs more
        total.add(check_size(parameters, tool.path, limits).counts)
        total.check("tools", limits, limits.tools_factor)
    budget = Budget()
    for tool, parameters in given:
        if tool.strict and choice.mode != "none":
            check_held(parameters, tool.path, budget)


def check_held(schema: Schema, path: str, budget: Budget) -> None:
    """Check that a grammar can hold every keyword of the schema at the field `path`, within `budget`.

    Raises:
        UnsupportedField: the first keyword that it cannot hold.
        InvalidRequest: the first one that has a wrong value.
    """
    if (issue := unheld(schema, budget)) is None:
        return
    place, sentence = issue
    field = joined(path, place)
    if sentence.startswith(remove := "Remove '{}': "):
        raise UnsupportedField(field, sentence.removeprefix(remove))
    # The caller's text may have braces of its own, behind those of the path.
    raise InvalidRequest(f"{sentence.replace('{}', field, 1)}.", field)


def _check_tag(rule: str, path: str, limits: SchemaLimits) -> None:
    """Check a structural tag, and the schemas and expressions in it. The engine says what else is wrong with it."""
    # Each value has two bytes at least. Before the parsing, which holds the interpreter lock until all are made.
    if has_more_values(rule.encode(errors="surrogatepass"), limits.max_bytes // 2):
        raise InvalidRequest(f"Reduce '{path}': at most {limits.max_bytes} bytes of JSON are accepted.", path)
    try:
        tag = orjson.loads(rule)  # as the request itself: no NaN, no infinite number, no half of a surrogate pair
    except orjson.JSONDecodeError:
        raise InvalidRequest(f"Set '{path}' to a structural tag of xgrammar, as JSON.", path) from None
    check_bytes(tag, path, limits)
    total = SchemaSize()
    schemas = [*_schemas(tag)]
    for schema in schemas:
        total.add(check_size(schema, path, limits).counts)
        total.check(path, limits, limits.tools_factor)
    budget = Budget()
    for schema in schemas:
        check_held(schema, path, budget)
    for kind, text in _texts(tag):
        if kind == "regex":
            check_pattern(text, path, limits)
        else:
            check_chars(text, path, limits.max_grammar_chars)
            check_repetition(grammar_repetition(text), path, limits)


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _schemas(tag: Any) -> Iterable[Schema]:
    for one in _objects(tag):
        for key in ("json_schema", "schema"):
            if isinstance(one.get(key), dict):
                yield one[key]


def _texts(tag: Any) -> Iterable[tuple[str, str]]:
    for one in _objects(tag):
        for kind, key in (("regex", "pattern"), ("grammar", "grammar")):
            if one.get("type") == kind and isinstance(one.get(key), str):
                yield kind, one[key]

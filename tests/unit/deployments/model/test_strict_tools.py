"""Calls that a grammar holds to the offered tools: the option `strict_tools`, and `strict` of a request's tools."""

import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.sampling_params import SamplingParams
from vllm.v1.structured_output.backend_xgrammar import validate_xgrammar_grammar
from xgrammar import GrammarCompiler, GrammarMatcher, TokenizerInfo

from deployments.model.output_parser import OutputParsers
from serving.conversation import Message, Tool, ToolChoice
from serving.errors import ConfigError
from serving.types import GenerateRequest, ResponseFormat, Sampling
from tests.support.thinking_model import thinking_tokenizer

CONFIG = SimpleNamespace(hf_config=SimpleNamespace(model_type="qwen2"), hf_text_config=None)
INTEGERS = {"a": {"type": "integer"}, "b": {"type": "integer"}}
ADD = Tool("add", "Adds.", {"type": "object", "properties": INTEGERS, "required": ["a", "b"]})
LOOK_UP = Tool("look_up", None, {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]})
# Each parser's format of a call: what is before the name, between name and arguments, and behind them.
FORMATS = {
    "hermes": ('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>"),
    "llama3_json": ('{"name": "', '", "parameters": ', "}"),
}
RIGHT = '{"a": 12, "b": 30}'
BOTH = pytest.mark.parametrize("parser", sorted(FORMATS))


@cache
def parsers(
    parser: str, *, strict_tools: bool = True, reasoning: str | None = None, compact: bool = False
) -> OutputParsers:
    return OutputParsers(
        "m", thinking_tokenizer(), CONFIG, reasoning, parser, strict_tools=strict_tools, compact=compact
    )


def prepared(found: OutputParsers, tools: tuple[Tool, ...], **more: Any) -> SamplingParams:
    request = GenerateRequest("r", (Message("user", "How much?"),), tools=tools, **more)
    opened = found.open(request, {}, [], [])
    assert opened is not None
    params = SamplingParams()
    opened.prepare(params)
    kept = [tool.function.parameters for tool in opened._request.tools or ()]  # parsers read types of arguments in them
    assert kept == [tool.parameters or {"type": "object", "properties": {}} for tool in tools]
    return params


def tag(parser: str, *tools: Tool, strict_tools: bool = True, compact: bool = False, **more: Any) -> str | None:
    """Structural tag that vLLM's engine gets for a request with `tools`; None: the output is free."""
    held = prepared(parsers(parser, strict_tools=strict_tools, compact=compact), tools, **more).structured_outputs
    return None if held is None else held.structural_tag


@cache
def compiler() -> GrammarCompiler:
    return GrammarCompiler(TokenizerInfo.from_huggingface(thinking_tokenizer()), max_threads=1)


def accepts(found: str | None, text: str) -> bool:
    """True if a model that is held to the structural tag can write `text` and end."""
    assert found is not None
    matcher = GrammarMatcher(compiler().compile_structural_tag(found), terminate_without_stop_token=False)
    return matcher.accept_string(text) and matcher.accept_token(thinking_tokenizer().eos_token_id)


def call(parser: str, name: str = "add", arguments: str = RIGHT) -> str:
    before, between, behind = FORMATS[parser]
    return f"{before}{name}{between}{arguments}{behind}"


def schemas(found: str | None) -> list[Any]:
    """Schemas of the arguments in a structural tag, in the order of its tools; True: any JSON."""
    assert found is not None
    tags = json.loads(found)["format"]["tags"]
    by_name = {one["begin"].split('"')[3]: one["content"]["json_schema"] for one in tags}
    return list(by_name.values())


@BOTH
def test_every_call_is_held_to_a_name_and_its_schema(parser: str) -> None:
    found = tag(parser, ADD, LOOK_UP)
    assert schemas(found) == [ADD.parameters, LOOK_UP.parameters]
    assert accepts(found, call(parser))
    assert accepts(found, "No tool is needed.")
    assert accepts(found, f"I add. {call(parser)}")
    assert accepts(found, call(parser, arguments='{"a":12,"b":30}'))
    assert accepts(found, call(parser, "look_up", '{"key": "x\\"}]"}'))
    assert not accepts(found, call(parser, "sub"))
    assert not accepts(found, call(parser, "add", '{"a": 12}'))
    assert not accepts(found, call(parser, "add", '{"a": "12", "b": 30}'))
    assert not accepts(found, call(parser, "add", '{"key": "x"}'))


@BOTH
def test_without_the_option_only_strict_tools_make_a_grammar(parser: str) -> None:
    assert tag(parser, ADD, LOOK_UP, strict_tools=False) is None
    assert tag(parser, replace(ADD, strict=False), strict_tools=False) is None
    assert schemas(tag(parser, replace(ADD, strict=True), LOOK_UP, strict_tools=False))[0] == ADD.parameters


@BOTH
@pytest.mark.parametrize("tools", [(replace(ADD, strict=False), LOOK_UP), (replace(ADD, strict=False),)])
def test_a_tool_that_is_not_strict_is_held_to_its_name(parser: str, tools: tuple[Tool, ...]) -> None:
    found = tag(parser, *tools)
    assert schemas(found) == [True, LOOK_UP.parameters][: len(tools)]
    assert accepts(found, call(parser, "add", '{"a": "twelve"}'))
    assert not accepts(found, call(parser, "sub", "{}"))


@BOTH
def test_compact_arguments_have_no_run_of_white_space(parser: str) -> None:
    now = Tool("now")  # a small model writes white space after the brace, until its token limit
    for choice in (ToolChoice(), ToolChoice("required"), ToolChoice("named", "now")):
        free, compact = (tag(parser, now, ADD, compact=compact, tool_choice=choice) for compact in (False, True))
        assert accepts(free, call(parser, "now", "{      }"))
        assert accepts(compact, call(parser, "now", "{}"))
        assert not accepts(compact, call(parser, "now", "{      }")), choice
    assert accepts(compact := tag(parser, ADD, compact=True), call(parser))
    assert schemas(compact) == [ADD.parameters]


@BOTH
@pytest.mark.parametrize("parallel", [True, False])
def test_the_engine_takes_the_grammar_of_every_choice(parser: str, parallel: bool) -> None:
    for choice in (ToolChoice(), ToolChoice("required"), ToolChoice("named", "add")):
        params = prepared(
            parsers(parser), (ADD, LOOK_UP, Tool("now")), tool_choice=choice, parallel_tool_calls=parallel
        )
        validate_xgrammar_grammar(params)
        held = params.structured_outputs
        assert accepts(None if held is None else held.structural_tag, call(parser)), choice


def test_a_response_format_is_kept() -> None:
    form = Sampling(response_format=ResponseFormat("json_object"))
    assert tag("hermes", ADD, sampling=form) is None


def test_reasoning_is_free_until_it_ends() -> None:
    found = parsers("hermes", reasoning="deepseek_r1")
    opened = found.open(GenerateRequest("r", (Message("user", "x"),), tools=(ADD,)), {}, [], [])
    assert opened is not None
    params = SamplingParams()
    assert opened.prepare(params)["reasoning_ended"] is False
    assert params.structured_outputs is not None


def test_no_tools_and_forbidden_tools_are_not_held() -> None:
    found = parsers("hermes", reasoning="qwen3")
    assert prepared(found, ()).structured_outputs is None
    request = GenerateRequest("r", (Message("user", "x"),), tools=(ADD,), tool_choice=ToolChoice("none"))
    opened = found.open(request, {}, [], [])
    assert opened is not None
    params = SamplingParams()
    opened.prepare(params)
    assert params.structured_outputs is None
    assert parsers("hermes").open(request, {}, [], []) is None


def test_a_parser_without_a_structural_tag_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parsers("pythonic")
    assert str(caught.value) == (
        "vLLM cannot hold calls that its tool_call_parser 'pythonic' reads to their schemas;"
        " remove strict_tools of 'm'."
    )
    parsers("pythonic", strict_tools=False)

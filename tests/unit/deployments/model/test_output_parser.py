"""Text, reasoning and tool calls apart, however the stream is cut."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.sampling_params import SamplingParams
from vllm.v1.structured_output.backend_xgrammar import validate_xgrammar_grammar

from deployments.model.output_parser import ChoiceParser, OutputParsers, RequestParser
from deployments.model.prompt_renderer import PromptRenderer
from serving.conversation import Message, Thinking, Tool, ToolChoice
from serving.decoding import Decoding
from serving.engine import collect
from serving.errors import ConfigError, InvalidRequest
from serving.types import Choice, Delta, GenerateRequest, Sampling, TokenLogprob
from serving.usage import TokenUsage
from tests.support.thinking_model import TAGS, thinking_tokenizer

CONFIG = SimpleNamespace(hf_config=SimpleNamespace(model_type="qwen2"), hf_text_config=None)
ADD = Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}})
LOOK_UP = Tool("look_up", None, {"type": "object", "properties": {"key": {"type": "string"}}})
THOUGHT = "12 + 30 = 42, so < and é are fine 日本."
ANSWER = "The sum is 42 < 43 — naïve."
ARGUMENTS = '{"a": 12, "b": 30}'
CALLS = (
    '<tool_call>\n{"name": "add", "arguments": {"a": 12, "b": 30}}\n</tool_call>\n'
    '<tool_call>\n{"name": "look_up", "arguments": {"key": "naïve \\"}] 日本"}}\n</tool_call>'
)


def parsers(reasoning: str | None = "deepseek_r1", tools: str | None = "hermes") -> OutputParsers:
    return OutputParsers("m", thinking_tokenizer(), CONFIG, reasoning, tools)


def opened(found: OutputParsers, args: Mapping[str, Any] = {}, **more: Any) -> RequestParser:
    request = GenerateRequest("r", (Message("user", "How much?"),), template_args=args, **more)
    renderer = PromptRenderer(thinking_tokenizer(), "m")
    prompt = renderer.token_ids(request.messages, request.tools, args)
    parser = found.open(request, args, prompt, renderer.opening_ids(args))
    assert isinstance(parser, RequestParser)
    return parser


def choice_of(parser: RequestParser) -> tuple[ChoiceParser, SamplingParams, dict[str, Any]]:
    params = SamplingParams()
    extra = parser.prepare(params)
    return parser.choice(), params, extra


def cut(text: str, cuts: Sequence[int], reason: str = "stop") -> Iterator[tuple[Delta, list[int]]]:
    """The engine's deltas of `text`, cut behind the tokens `cuts`; the last has the end token, without its text."""
    tokenizer = thinking_tokenizer()
    ids = tokenizer.encode(text, add_special_tokens=False)
    sent = 0
    for start, end in zip([0, *cuts], [*cuts, len(ids)], strict=True):
        whole = tokenizer.decode(ids[:end], skip_special_tokens=False)
        whole = whole[: len(whole) - (len(whole) - len(whole.rstrip("\ufffd")))]
        yield Delta(whole[sent:]), ids[start:end]
        sent = len(whole)
    yield Delta("", finish_reason=reason), [tokenizer.convert_tokens_to_ids("<|im_end|>")] if reason == "stop" else []


async def read(choice: ChoiceParser, pieces: Iterator[tuple[Delta, list[int]]]) -> Choice:
    async def stream() -> Any:
        for delta, ids in pieces:
            found = choice.parse(delta, ids)
            yield found if found.finish_reason is None else replace(found, usage=TokenUsage())

    return (await collect("m", stream())).choices[0]


def random_cuts(text: str, count: int) -> Iterator[list[int]]:
    length = len(thinking_tokenizer().encode(text, add_special_tokens=False))
    dice = random.Random(7)
    for _ in range(count):
        yield sorted(dice.sample(range(1, length), dice.randint(0, min(length - 1, 12))))


@pytest.mark.parametrize("reasoning", ["deepseek_r1", "qwen3"])
async def test_no_cut_loses_or_leaks_text(reasoning: str) -> None:
    text = f"<think>{THOUGHT}</think>{ANSWER}"
    found = parsers(reasoning)
    for cuts in random_cuts(text, 250):
        choice, *_ = choice_of(opened(found, tools=(ADD, LOOK_UP)))
        read_choice = await read(choice, cut(text, cuts))
        assert (read_choice.reasoning, read_choice.text, read_choice.tool_calls) == (THOUGHT, ANSWER, ())
        assert read_choice.finish_reason == "stop"
        assert choice.reasoning_tokens == len(thinking_tokenizer().encode(THOUGHT, add_special_tokens=False))


@pytest.mark.parametrize("reasoning", ["deepseek_r1", "qwen3"])
async def test_no_cut_loses_or_leaks_a_call(reasoning: str) -> None:
    text = f"<think>{THOUGHT}</think>{ANSWER}{CALLS}"
    found = parsers(reasoning)
    for cuts in random_cuts(text, 250):
        choice, *_ = choice_of(opened(found, tools=(ADD, LOOK_UP)))
        read_choice = await read(choice, cut(text, cuts))
        assert (read_choice.reasoning, read_choice.text.rstrip("\n")) == (THOUGHT, ANSWER)
        assert [(call.name, json.loads(call.arguments)) for call in read_choice.tool_calls] == [
            ("add", {"a": 12, "b": 30}),
            ("look_up", {"key": 'naïve "}] 日本'}),
        ]
        assert len({call.id for call in read_choice.tool_calls}) == 2
        assert read_choice.finish_reason == "tool_calls"


@pytest.mark.parametrize("reasoning", ["deepseek_r1", "qwen3"])
async def test_no_answer_that_its_token_limit_cuts_leaks_a_tag(reasoning: str) -> None:
    whole = f"<think>{THOUGHT}</think>{ANSWER}{CALLS}"
    tokenizer, found = thinking_tokenizer(), parsers(reasoning)
    ids = tokenizer.encode(whole, add_special_tokens=False)
    for end in range(1, len(ids)):
        text = tokenizer.decode(ids[:end]).rstrip("\ufffd")
        choice, *_ = choice_of(opened(found, tools=(ADD, LOOK_UP)))
        read_choice = await read(choice, cut(text, [], "length"))
        assert THOUGHT.startswith(read_choice.reasoning)
        assert ANSWER.startswith(read_choice.text.rstrip("\n"))
        assert not any(tag in read_choice.text + read_choice.reasoning for tag in TAGS)
        assert read_choice.finish_reason == "length"


async def test_text_behind_its_tokens_is_parsed_like_any_other() -> None:
    """As with stop strings, of which vLLM holds back the beginnings."""
    tokenizer = thinking_tokenizer()
    text = f"<think>{THOUGHT}</think>{ANSWER}"
    ids = tokenizer.encode(text, add_special_tokens=False)
    choice, *_ = choice_of(opened(parsers(), tools=(ADD,)))

    def late() -> Iterator[tuple[Delta, list[int]]]:
        yield Delta(""), ids[:40]
        for position in range(0, len(text), 5):
            yield Delta(text[position : position + 5]), ids[40:] if position == 20 else []
        yield Delta("", finish_reason="stop"), [2]

    found = await read(choice, late())
    assert (found.reasoning, found.text) == (THOUGHT, ANSWER)


async def test_a_tokenizer_that_decodes_differently_loses_no_text() -> None:
    choice, *_ = choice_of(opened(parsers(None), tools=(ADD,)))
    found = await read(choice, iter([(Delta("other text"), [9, 10]), (Delta(" it is", finish_reason="stop"), [2])]))
    assert found.text == "other text it is"


async def test_the_beginning_of_a_tag_that_never_came_is_text() -> None:
    choice, *_ = choice_of(opened(parsers(None), tools=(ADD,)))
    assert (await read(choice, cut("1 <", []))).text == "1 <"


async def test_the_beginning_of_a_tag_within_a_token_is_text() -> None:
    """Many tokenizers have ` <` as one token: its space is text at once, its `<` waits for the rest of a tag."""
    choice, *_ = choice_of(opened(parsers(reasoning=None), tools=(ADD,)))
    number, other, end = thinking_tokenizer().convert_tokens_to_ids(["5", ",", "<|im_end|>"])
    pieces = [(Delta("5"), [number]), (Delta(" <"), [other]), (Delta("", finish_reason="stop"), [end])]
    assert (await read(choice, iter(pieces))).text == "5 <"


async def test_thinking_that_the_prompt_switched_off_is_no_reasoning() -> None:
    for reasoning in ("deepseek_r1", "qwen3"):
        choice, _, extra = choice_of(opened(parsers(reasoning), {"enable_thinking": False}))
        found = await read(choice, cut(ANSWER, [3]))
        assert (found.text, found.reasoning, choice.reasoning_tokens) == (ANSWER, "", 0)
        assert extra["reasoning_ended"] is True


async def test_reasoning_of_earlier_turns_does_not_end_that_of_this_one() -> None:
    request = GenerateRequest("r", (Message("assistant", "b", reasoning="a"), Message("user", "c")))
    renderer = PromptRenderer(thinking_tokenizer(), "m")
    prompt = renderer.token_ids(request.messages)
    assert thinking_tokenizer().convert_tokens_to_ids("</think>") in prompt
    parser = parsers(tools=None).open(request, {}, prompt, renderer.opening_ids())
    assert parser is not None
    choice, _, extra = choice_of(parser)
    assert extra["reasoning_ended"] is False
    assert (await read(choice, cut("d</think>e", []))).reasoning == "d"


async def test_an_answer_that_is_only_reasoning_has_no_text() -> None:
    choice, *_ = choice_of(opened(parsers()))
    found = await read(choice, cut(THOUGHT, [2, 5], "length"))
    assert (found.text, found.reasoning, found.finish_reason) == ("", THOUGHT, "length")


def test_logprobs_are_those_of_the_text() -> None:
    tokenizer = thinking_tokenizer()
    ids = tokenizer.encode("<think>a b</think>c d", add_special_tokens=False)
    logprobs = tuple(TokenLogprob(tokenizer.decode([one]), -1.0) for one in ids)
    choice, *_ = choice_of(opened(parsers()))
    found = choice.parse(Delta("<think>a b</think>c d", 0, logprobs, "stop"), ids)
    assert (found.reasoning, found.text) == ("a b", "c d")
    assert [one.token for one in found.logprobs or ()] == ["c", " ", "d"]


# Structured calls


async def test_required_calls_are_read_from_json_at_any_cut() -> None:
    text = json.dumps(
        [{"name": "add", "parameters": {"a": 12, "b": 30}}, {"name": "look_up", "parameters": {"key": 'x"}] é'}}],
        ensure_ascii=False,
    )
    found = parsers(None, None)
    for cuts in random_cuts(text, 100):
        choice, params, extra = choice_of(opened(found, tools=(ADD, LOOK_UP), tool_choice=ToolChoice("required")))
        read_choice = await read(choice, cut(text, cuts))
        assert [(call.name, json.loads(call.arguments)) for call in read_choice.tool_calls] == [
            ("add", {"a": 12, "b": 30}),
            ("look_up", {"key": 'x"}] é'}),
        ]
        assert (read_choice.text, read_choice.finish_reason, extra) == ("", "tool_calls", {})
    assert params.structured_outputs is not None
    assert isinstance(params.structured_outputs.json, dict)
    assert params.structured_outputs.json["type"] == "array"


async def test_a_named_function_has_the_whole_output_as_its_arguments() -> None:
    found = parsers("deepseek_r1", None)
    parser = opened(found, tools=(ADD, LOOK_UP), tool_choice=ToolChoice("named", "add"))
    choice, params, extra = choice_of(parser)
    read_choice = await read(choice, cut(f"<think>{THOUGHT}</think>\n{ARGUMENTS}", [4, 30]))
    assert [(call.name, call.arguments) for call in read_choice.tool_calls] == [("add", ARGUMENTS)]
    assert (read_choice.text, read_choice.reasoning) == ("", THOUGHT)
    assert params.structured_outputs is not None
    assert params.structured_outputs.json == ADD.parameters
    assert extra["reasoning_ended"] is False


@pytest.mark.parametrize("parser_name", ["hermes", None])
async def test_without_parallel_calls_there_is_one(parser_name: str | None) -> None:
    found = parsers(None, parser_name)
    more = {"tools": (ADD, LOOK_UP), "parallel_tool_calls": False}
    choice, *_ = choice_of(
        opened(found, **more) if parser_name else opened(found, tool_choice=ToolChoice("required"), **more)
    )
    text = CALLS if parser_name else '[{"name": "add", "parameters": {}}, {"name": "add", "parameters": {}}]'
    assert len((await read(choice, cut(text, []))).tool_calls) == 1


async def test_the_models_own_format_is_enforced_where_vllm_can() -> None:
    strict = replace(ADD, strict=True)
    for tool_choice in (ToolChoice(), ToolChoice("required"), ToolChoice("named", "add")):
        choice, params, _ = choice_of(opened(parsers(), tools=(strict,), tool_choice=tool_choice))
        assert params.structured_outputs is not None
        assert "<tool_call>" in (params.structured_outputs.structural_tag or "")
        assert params.skip_special_tokens is False
        found = await read(choice, cut(f"a</think>{CALLS}", [5]))
        assert [call.name for call in found.tool_calls] == ["add", "look_up"]


# Requests


def test_output_without_parsers_and_calls_is_text() -> None:
    request = GenerateRequest("r", (Message("user", "x"),), tools=(ADD,), tool_choice=ToolChoice("none"))
    assert parsers(None, None).open(request, {}, [], []) is None


async def test_tools_that_may_not_be_called_are_text() -> None:
    forbidden: Any = {"tools": (ADD,), "tool_choice": ToolChoice("none")}
    choice, params, _ = choice_of(opened(parsers(), **forbidden))
    assert params.structured_outputs is None
    assert (await read(choice, cut(f"</think>{CALLS}", []))).text == CALLS


def test_without_calls_and_reasoning_nothing_is_parsed() -> None:
    request = GenerateRequest("r", (Message("user", "x"),), tools=(ADD,), tool_choice=ToolChoice("none"))
    assert parsers(None).open(request, {}, [], []) is None
    assert parsers(None).open(replace(request, tools=()), {}, [], []) is None


@pytest.mark.parametrize(
    ("tool_choice", "tools", "message"),
    [
        (ToolChoice(), (ADD,), "'m' cannot choose tools by itself; set tool_choice to required or to a function."),
        (ToolChoice("named", "sub"), (ADD,), "tool_choice names 'sub', which is not in tools."),
        (ToolChoice("required"), (), "tool_choice is required, but there are no tools."),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(
    tool_choice: ToolChoice, tools: tuple[Tool, ...], message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        opened(parsers(None, None), tools=tools, tool_choice=tool_choice)
    assert (str(caught.value), caught.value.param) == (message, "tool_choice")


def test_the_budget_reaches_vllm() -> None:
    _, params, extra = choice_of(opened(parsers(), {"enable_thinking": True}, thinking=Thinking(budget_tokens=9)))
    assert params.thinking_token_budget == 9
    assert extra["reasoning_parser_kwargs"] == {"chat_template_kwargs": {"enable_thinking": True}}


async def test_an_end_of_reasoning_behind_its_budget_is_no_text() -> None:
    text = "a b</think>c d</think>42"  # the first tag is the budget's
    for cuts in random_cuts(text, 20):
        choice, *_ = choice_of(opened(parsers(), thinking=Thinking(budget_tokens=2)))
        found = await read(choice, cut(text, cuts))
        assert (found.reasoning, found.text) == ("a b", "c d42")


@pytest.mark.parametrize("tool_call_parser", ["llama3_json", "hermes"])
async def test_a_call_without_arguments_has_an_empty_object(tool_call_parser: str) -> None:
    call = (
        '{"name": "now", "parameters": {}}' if tool_call_parser == "llama3_json" else '{"name": "now", "arguments": {}}'
    )
    text = call if tool_call_parser == "llama3_json" else f"<tool_call>{call}</tool_call>"
    for cuts in ([], [5], list(range(1, 9))):
        choice, *_ = choice_of(opened(parsers(None, tool_call_parser), tools=(Tool("now"),)))
        found = await read(choice, cut(text, cuts))
        assert [(one.name, one.arguments) for one in found.tool_calls] == [("now", "{}")]


def test_an_unknown_parser_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(
        ConfigError, match=r"vLLM has no reasoning_parser 'deepseek_r2' \(engine_kwargs of 'm'\); .*deepseek_r1"
    ):
        parsers("deepseek_r2")
    with pytest.raises(ConfigError, match=r"vLLM has no tool_call_parser 'hermez' .*hermes"):
        parsers(tools="hermez")


def test_a_parser_without_its_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"A parser of 'm' does not fit its tokenizer: .*tool call token"):
        parsers(None, "mistral")


@pytest.mark.parametrize("tool_call_parser", ["llama3_json", "hermes"])
async def test_a_call_in_either_format_is_read_at_any_cut(tool_call_parser: str) -> None:
    call = json.dumps(
        {"name": "add", "parameters" if tool_call_parser == "llama3_json" else "arguments": {"a": 12, "b": 30}}
    )
    text = call if tool_call_parser == "llama3_json" else f"<tool_call>{call}</tool_call>"
    found = parsers(None, tool_call_parser)
    for cuts in random_cuts(text, 50):
        choice, *_ = choice_of(opened(found, tools=(ADD,)))
        read_choice = await read(choice, cut(text, cuts))
        assert [(one.name, json.loads(one.arguments)) for one in read_choice.tool_calls] == [
            ("add", {"a": 12, "b": 30})
        ]
        assert (read_choice.text, read_choice.finish_reason) == ("", "tool_calls")


@pytest.mark.parametrize("tool_choice", [ToolChoice(), ToolChoice("required"), ToolChoice("named", "add")])
@pytest.mark.parametrize("tool_call_parser", ["hermes", "llama3_json", None])
def test_every_grammar_is_one_that_the_engine_takes(tool_call_parser: str | None, tool_choice: ToolChoice) -> None:
    if tool_call_parser is None and tool_choice.mode == "auto":
        return
    tools = (replace(ADD, strict=True), LOOK_UP, Tool("now"))
    _, params, _ = choice_of(opened(parsers(None, tool_call_parser), tools=tools, tool_choice=tool_choice))
    assert params.structured_outputs is not None
    validate_xgrammar_grammar(params)


def test_a_continued_message_is_text_that_no_parser_reads() -> None:
    turns = (Message("user", "How much?"), Message("assistant", "It is "))
    request = GenerateRequest("r", turns, prompt_end="continued")
    assert parsers(reasoning=None).open(request, {}, [], []) is None
    parser = parsers().open(request, {}, [], [])
    assert parser is not None
    assert parser.prepare(SamplingParams()) == {"reasoning_ended": True}, "grammars hold from the first token"
    delta = Delta("42</think>", finish_reason="stop")
    choice = parser.choice()
    assert (choice.parse(delta, [1]), choice.reasoning_tokens) == (delta, 0)


@pytest.mark.parametrize("skipped", [True, False])
def test_special_tokens_stay_if_the_request_wants_them(skipped: bool) -> None:
    sampling = Sampling(decoding=Decoding(skip_special_tokens=skipped))
    _, params, _ = choice_of(opened(parsers(tools=None), sampling=sampling))
    assert params.skip_special_tokens is skipped

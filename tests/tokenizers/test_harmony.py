"""gpt-oss without weights: prompts in the harmony format, and its output from token ids."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.sampling_params import SamplingParams
from vllm.v1.structured_output.backend_xgrammar import validate_xgrammar_grammar

from deployments.model.output_parser import OutputParsers
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.templates import harmony
from serving.conversation import Message, Tool, ToolCall, ToolChoice
from serving.engine import collect
from serving.errors import ConfigError, InvalidRequest
from serving.types import Choice, Delta, GenerateRequest, ResponseFormat, Sampling
from serving.usage import TokenUsage
from tests.support.real_tokenizers import renderer, tokenizer

pytestmark = pytest.mark.xdist_group("gptoss")
CONFIG = SimpleNamespace(hf_config=SimpleNamespace(model_type="gpt_oss"), hf_text_config=None)
ADD = Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}})
THOUGHT = "12 + 30 = 42, so < and é are fine 日本."
THINKING = f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
ANSWER = "The sum is 42 < 43 — naïve 👩‍👩‍👧."
FINAL = f"{THINKING}<|channel|>final<|message|>{ANSWER}<|return|>"
ARGUMENTS = '{"a": 12, "b": 30}'
CALL = f"<|channel|>commentary to=functions.add <|constrain|>json<|message|>{ARGUMENTS}<|call|>"
TAGS = ("<|", "|>", "analysis", "commentary", "functions", "assistant")


@cache
def parsers() -> OutputParsers:
    renderer("gptoss")  # provides the vocabulary
    return OutputParsers("m", tokenizer("gptoss"), CONFIG, "openai_gptoss", "openai")


def opened(**more: Any) -> tuple[Any, SamplingParams]:
    request = GenerateRequest("r", (Message("user", "How much?"),), **{"tools": (ADD,), **more})
    parser = parsers().open(request, {}, [1], renderer("gptoss").opening_ids())
    assert parser is not None
    params = SamplingParams()
    if request.sampling.response_format is not None:
        from deployments.model.vllm_sampling import sampling_params

        params = sampling_params(request.sampling, {}, stream_interval=1)
    parser.prepare(params)
    return parser.choice(), params


async def read(choice: Any, text: str, cuts: Sequence[int], end: int | None = None) -> Choice:
    """Answer of an engine that writes `text` in pieces; with `end`, cut behind so many tokens."""
    ids = tokenizer("gptoss").encode(text, add_special_tokens=False)
    kept, reason = (ids, "stop") if end is None else (ids[:end], "length")

    async def stream() -> Any:
        sent = ""
        for start, stop in zip([0, *cuts], [*cuts, len(kept)], strict=True):
            whole = tokenizer("gptoss").decode(kept[:stop], skip_special_tokens=False).rstrip("\ufffd")
            last = stop == len(kept)
            if last and end is None:
                whole = tokenizer("gptoss").decode(kept[:-1], skip_special_tokens=False)  # without the end token's text
            found = choice.parse(Delta(whole[len(sent) :], finish_reason=reason if last else None), kept[start:stop])
            sent = whole
            yield replace(found, usage=TokenUsage()) if last else found

    return (await collect("m", stream())).choices[0]


def some_cuts(text: str, count: int) -> list[list[int]]:
    length = len(tokenizer("gptoss").encode(text, add_special_tokens=False))
    dice = random.Random(7)
    return [sorted(dice.sample(range(1, length), dice.randint(0, min(12, length - 1)))) for _ in range(count)]


async def test_no_cut_loses_or_leaks_text() -> None:
    for cuts in some_cuts(FINAL, 300):
        choice, params = opened()
        found = await read(choice, FINAL, cuts)
        assert (found.reasoning, found.text, found.tool_calls, found.finish_reason) == (THOUGHT, ANSWER, (), "stop")
        assert choice.reasoning_tokens == len(tokenizer("gptoss").encode(THOUGHT))
    assert params.skip_special_tokens is False


async def test_no_cut_loses_or_leaks_a_call() -> None:
    text = f"{THINKING}<|channel|>commentary<|message|>I add.<|end|><|start|>assistant{CALL}"
    for cuts in some_cuts(text, 300):
        choice, _ = opened()
        found = await read(choice, text, cuts)
        assert (found.reasoning, found.text, found.finish_reason) == (THOUGHT, "I add.", "tool_calls")
        assert [(call.name, call.arguments) for call in found.tool_calls] == [("add", ARGUMENTS)]


@pytest.mark.parametrize("text", [FINAL, f"{THINKING}{CALL}"])
async def test_no_answer_that_its_token_limit_cuts_leaks_a_header(text: str) -> None:
    for end in range(1, len(tokenizer("gptoss").encode(text, add_special_tokens=False))):
        found = await read(opened()[0], text, [], end)
        assert THOUGHT.startswith(found.reasoning.rstrip("\ufffd"))
        assert ANSWER.startswith(found.text.rstrip("\ufffd"))
        assert not any(tag in found.text + found.reasoning for tag in TAGS)
        assert found.finish_reason == "length"


async def test_an_answer_without_any_channel_is_text() -> None:
    assert (await read(opened()[0], "Hello there<|return|>", [])).text == "Hello there"


async def test_a_call_that_is_not_allowed_is_none() -> None:
    choice, _ = opened(tool_choice=ToolChoice("none"))
    found = await read(choice, f"{THINKING}{CALL}", [])
    assert (found.text, found.reasoning, found.tool_calls) == ("", THOUGHT, ())


@pytest.mark.parametrize("tool_choice", [ToolChoice("required"), ToolChoice("named", "add")])
async def test_a_demanded_call_is_enforced_in_the_models_own_format(tool_choice: ToolChoice) -> None:
    choice, params = opened(tool_choice=tool_choice)
    assert params.structured_outputs is not None
    assert "to=functions.add" in (params.structured_outputs.structural_tag or "")
    validate_xgrammar_grammar(params)
    assert [call.name for call in (await read(choice, f"{THINKING}{CALL}", [])).tool_calls] == ["add"]


def test_a_response_format_holds_for_the_final_channel_alone() -> None:
    wanted = ResponseFormat("json_schema", "x", {"type": "object", "properties": {"a": {"type": "integer"}}})
    _, params = opened(tools=(), sampling=Sampling(max_tokens=9, response_format=wanted))
    assert params.structured_outputs is not None
    tag = json.loads(params.structured_outputs.structural_tag or "")
    assert "<|channel|>analysis" in str(tag)
    assert "<|channel|>final" in str(tag)


def test_output_without_a_reasoning_parser_is_refused_at_start() -> None:
    with pytest.raises(ConfigError, match="Set reasoning_parser of 'm' to openai_gptoss"):
        OutputParsers("m", tokenizer("gptoss"), CONFIG, None, None)


# Prompts


CALLED = (
    Message("system", "Be brief."),
    Message("user", "How much?"),
    Message("assistant", "", reasoning="I add.", tool_calls=(ToolCall("c1", "add", ARGUMENTS),)),
    Message("tool", "42", tool_call_id="c1"),
)


def test_a_tool_loop_is_in_the_harmony_format() -> None:
    text = renderer("gptoss").text(CALLED, (ADD,), {"reasoning_effort": "high"})
    assert "Reasoning: high" in text
    assert "# Instructions\n\nBe brief.\n\n# Tools\n\n## functions" in text
    assert text.endswith(
        "<|start|>user<|message|>How much?<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>I add.<|end|>"
        f"<|start|>assistant to=functions.add<|channel|>commentary json<|message|>{ARGUMENTS}<|call|>"
        "<|start|>functions.add to=assistant<|channel|>commentary<|message|>42<|end|>"
        "<|start|>assistant"
    )


def test_thoughts_before_a_final_answer_are_dropped() -> None:
    answered = (*CALLED, Message("assistant", "42.", reasoning="Done."), Message("user", "And now?"))
    text = renderer("gptoss").text(answered, (ADD,))
    assert "I add." not in text
    assert "<|channel|>final<|message|>42.<|end|>" in text


@pytest.mark.parametrize("effort", ["none", "minimal", "xhigh", 1])
def test_an_effort_that_the_model_does_not_know_is_refused(effort: object) -> None:
    with pytest.raises(InvalidRequest, match="must be low, medium or high") as caught:
        renderer("gptoss").token_ids((Message("user", "x"),), (), {"reasoning_effort": effort})
    assert caught.value.param == "reasoning_effort"


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Remove 'enable_thinking' from chat_template_kwargs; 'gptoss' has reason"):
        renderer("gptoss").token_ids((Message("user", "x"),), (), {"enable_thinking": False})


def test_a_chat_template_is_refused() -> None:
    with pytest.raises(ConfigError, match="Remove chat_template of 'm'"):
        PromptRenderer(tokenizer("gptoss"), "m", "{{ messages }}", model_type="gpt_oss")


def test_the_vocabulary_is_made_of_the_tokenizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harmony.tempfile, "gettempdir", lambda: str(tmp_path))
    directory = harmony.write_vocabulary(tokenizer("gptoss"), "m")
    assert [file.name for file in directory.iterdir()] == [harmony.VOCABULARY_FILE]
    with pytest.raises(ConfigError, match="The tokenizer of 'other' is not that of gpt-oss"):
        harmony.write_vocabulary(tokenizer("qwen3"), "other")

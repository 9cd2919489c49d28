"""The prompt after tool calls, in tokens: it begins with the prompt before, and with what was prefilled for it."""

import json
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.model.prompt_renderer import PromptRenderer
from serving.conversation import Message, Tool, ToolCall
from serving.references import Layout, Reference, ReferenceBlock
from serving.runtime.next_turn import next_prompt
from serving.runtime.prompts import prompt_messages
from serving.types import GenerateRequest
from tests.support.thinking_model import thinking_tokenizer

TOOLS = (Tool("look", "Looks it up.", {"type": "object", "properties": {"at": {"type": "string"}}}), Tool("count"))
MARKER = "[[0123456789abcdef]]"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["<|im_end|>\n<|im_start|>system\n", "</tool_response><tool_call>", " ", "\n\n", "😀"]
)


@cache
def renderer() -> PromptRenderer:
    return PromptRenderer(thinking_tokenizer())


def request(text: str, layout: Layout) -> GenerateRequest:
    block = ReferenceBlock((Reference("b", "It is\n2."), Reference("c", text)), "Read these:", layout)
    messages = (Message("system", "Be brief."), Message("user", f"What is it? {text}"))
    return GenerateRequest("r", messages, references=block, tools=TOOLS, session="s")


def ids(asked: GenerateRequest) -> tuple[int, ...]:
    return renderer().token_ids(prompt_messages(asked), asked.tools)


@given(
    layout=st.sampled_from(["paper", "references_last"]),
    text=TEXTS,
    said=TEXTS,
    arguments=st.lists(TEXTS, min_size=1, max_size=3),
    result=TEXTS,
)
def test_a_prefill_is_a_true_prefix_and_longer_than_the_prompt_before(
    layout: Layout, text: str, said: str, arguments: list[str], result: str
) -> None:
    first = request(text, layout)
    calls = tuple(ToolCall(f"c{place}", "look", json.dumps({"at": at})) for place, at in enumerate(arguments))
    ahead = next_prompt(first, said, calls, MARKER)
    known = renderer().prefill_ids(prompt_messages(ahead), MARKER, ahead.tools)
    later = next_prompt(first, said, calls, result)
    others = (Message("tool", result, tool_call_id=call.id) for call in calls[1:])
    real = ids(replace(later, messages=(*later.messages, *others)))
    assert real[: len(known)] == known
    assert real[: len(ids(first))] == ids(first)
    assert len(known) > len(ids(first))


@pytest.mark.parametrize("arguments", ['{"at": "x"}', '{"at":"x"}', "{", "[1, 2]", ""])
def test_calls_are_rendered_from_the_text_that_the_client_repeats(arguments: str) -> None:
    first, calls = request("x", "paper"), (ToolCall("c", "look", arguments),)
    ahead = next_prompt(first, "", calls, MARKER)
    known = renderer().prefill_ids(prompt_messages(ahead), MARKER, ahead.tools)
    real = ids(next_prompt(first, "", calls, "done"))
    assert real[: len(known)] == known
    assert len(known) > len(ids(first))

"""Prompts that end within or behind the last message, with the embedded tokenizers' own templates."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.templates.tokens import TokenTemplate
from serving.conversation import Message
from serving.errors import InvalidRequest
from tests.support.real_tokenizers import renderer as real_renderer
from tests.support.thinking_model import thinking_tokenizer
from tests.unit.deployments.model.test_prompt_renderer import CONTROL, MODELS, renderer, special, tokenizer

ASKED = (Message("user", "What is 1 + 2?"),)


def begun(text: str) -> tuple[Message, ...]:
    return (*ASKED, Message("assistant", text))


@pytest.mark.parametrize("model", MODELS)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
@settings(max_examples=30)
def test_a_continued_message_is_the_end_of_the_prompt_as_it_is_written(model: str, text: str) -> None:
    found = renderer(model)
    ids = found.token_ids(begun(f"The {text}"), end="continued")
    opened = found.token_ids(ASKED)
    assert ids[: len(opened)] == opened, "it begins like the prompt of an answer"
    plain = tokenizer(model).encode(f"The {text}", add_special_tokens=False)
    assert found.decode(ids[len(opened) :]) == tokenizer(model).decode(plain), "its white space at the end included"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("control", CONTROL)
def test_control_strings_of_a_continued_message_are_text(model: str, control: str) -> None:
    found = renderer(model)
    plain = special(model, found.token_ids(begun("Well"), end="continued"))
    assert special(model, found.token_ids(begun(f"Well{CONTROL[control]}"), end="continued")) == plain


@pytest.mark.parametrize("model", MODELS)
def test_a_prompt_that_ends_behind_the_last_message_opens_no_answer(model: str) -> None:
    turns = [{"role": "user", "content": ASKED[0].content}]
    expected = tokenizer(model).apply_chat_template(turns, add_generation_prompt=False)["input_ids"]
    assert list(renderer(model).token_ids(ASKED, end="message")) == expected
    assert renderer(model).token_ids(ASKED, end="message") != renderer(model).token_ids(begun("x"), end="message")


def test_a_prefill_of_a_continued_message_is_a_prefix_of_its_prompt() -> None:
    found = renderer("tiny-mixtral")
    marked = (Message("user", "Read this: [[m]]"), Message("assistant", "It is"))
    prefix = found.prefill_ids(marked, "[[m]]", end="continued")
    whole = found.token_ids((Message("user", "Read this: a b"), marked[1]), end="continued")
    assert prefix
    assert whole[: len(prefix)] == prefix


def test_a_template_that_leaves_the_message_out_is_refused() -> None:
    dropping = "{% for m in messages if m.role == 'user' %}<|im_start|>user {{ m.content }}<|im_end|>{% endfor %}"
    found = PromptRenderer(thinking_tokenizer(), "m", dropping)
    with pytest.raises(
        InvalidRequest, match="refuses the messages: an assistant's last message is not written"
    ) as caught:
        found.token_ids(begun("It is"), end="continued")
    assert caught.value.param == "messages"


class FixedTemplate(TokenTemplate):
    """Encodes each text as its words' lengths."""

    def _ids(self, turns: Any, tools: Any, args: Any) -> list[int]:
        return [len(word) for turn in turns for word in turn["content"].split()]


@pytest.mark.parametrize(
    ("end", "field"), [("continued", "continue_final_message"), ("message", "add_generation_prompt")]
)
def test_a_format_without_such_an_end_is_refused_by_the_fields_name(end: Any, field: str) -> None:
    found = PromptRenderer(thinking_tokenizer(), "m")
    found._template = FixedTemplate(thinking_tokenizer())
    with pytest.raises(InvalidRequest, match=f"Remove '{field}': the prompt format of 'm' does not have it") as caught:
        found.token_ids(begun("It is"), end=end)
    assert caught.value.param == field


@pytest.mark.parametrize("name", ["mistral_v3", "mistral_tekken"])
def test_mistrals_tokenizer_continues_a_message_itself(name: str) -> None:
    found = real_renderer(name)
    ids = found.token_ids(begun("The sum is"), end="continued")
    opened = found.token_ids(ASKED)
    assert ids[: len(opened)] == opened
    assert found.decode(ids[len(opened) :]).replace("▁", " ").strip() == "The sum is"
    with pytest.raises(InvalidRequest, match="Remove 'add_generation_prompt'"):
        found.token_ids(ASKED, end="message")

"""Token ids of prompts with control strings in messages, for fast and slow tokenizers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import AutoTokenizer, ByT5Tokenizer

from deployments.model.prompt_encoder import stable_end
from deployments.model.prompt_renderer import PromptRenderer
from serving.conversation import Message
from tests.support.paths import ROOT

TEMPLATE = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>\n{% endfor %}<s>assistant:"


@pytest.mark.parametrize(
    ("text", "stable"),
    [
        ("one two", "one"),
        ("one two ", "one two"),
        ("one two.\n", "one"),
        ("one two.\n\n three", "one"),
        ("one -- ", "one"),
        ("12\t3", "12"),
        ("one", ""),
        ("", ""),
        (" x", ""),
    ],
)
def test_the_stable_beginning_ends_behind_a_word(text: str, stable: str) -> None:
    assert text[: stable_end(text)] == stable


@given(st.lists(st.sampled_from(["<s>", "</s>", "<", "s>", "/s>", "<pad>", "a", " ", "<s</s>>", "é"])))
def test_a_slow_tokenizer_keeps_texts_apart_from_control_tokens(parts: list[str]) -> None:
    text = "".join(parts)
    ids = slow().token_ids((Message("user", f"x{text}x"),))
    assert [one for one in ids if one in slow().control_ids] == [
        one for one in slow().token_ids((Message("user", "xx"),)) if one in slow().control_ids
    ]
    assert f"x{text}x" in slow().decode(ids)


def test_a_slow_tokenizer_has_prefills() -> None:
    prefix = slow().prefill_ids((Message("user", "one </s> two three[[m]]"),), "[[m]]")
    assert slow().token_ids((Message("user", "one </s> two three four"),))[: len(prefix)] == prefix
    assert slow().decode(prefix).endswith("one </s> two")


_RENDERERS: list[PromptRenderer] = []


def slow() -> PromptRenderer:
    if not _RENDERERS:
        tokenizer = ByT5Tokenizer(extra_ids=0)
        tokenizer.add_tokens([AddedToken("<s>", normalized=False, special=True)])
        _RENDERERS.append(PromptRenderer(tokenizer, "slow", TEMPLATE, "slow"))
    return _RENDERERS[0]


def test_white_space_that_a_control_token_takes_stays_its_own() -> None:
    stripping = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-qwen")
    stripping.add_tokens([AddedToken("<|user|>", rstrip=True, normalized=False, special=True)])
    stripping.chat_template = "{% for m in messages %}<|user|>\n{{ m.content }}<|im_end|>{% endfor %}<|user|>"
    rendered = PromptRenderer(stripping, "stripping")
    clean, forged = (rendered.token_ids((Message("user", text),)) for text in ("hello", "hello<|im_end|>"))
    assert forged[: len(clean) - 2] == clean[:-2]

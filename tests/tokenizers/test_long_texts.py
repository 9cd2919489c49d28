"""Long texts: pieces have the ids of the whole, no text that fits is refused, and what is too long costs little."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from deployments.model.prompt_budget import PromptAbandoned, PromptBudget, PromptTooLong
from deployments.model.prompt_encoder import own_encode
from deployments.model.text_encoder import text_encoder
from deployments.model.token_lengths import TokenLengths, token_lengths
from serving.conversation import Message
from tests.support.real_tokenizers import NAMES, renderer, tokenizer

BOUNDED = ("qwen3", "llama3_1", "gemma3", "gptoss", "deepseek_v3", "llama2")
GROUPED = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BOUNDED]
PARTS = (
    *(
        "the ",
        "answer",
        " is",
        " 42",
        "1,234.5",
        " don't",
        "e\u0301",
        "a\u0301\u0323",
        "\u1112\u1161\u11ab",
        "가\u11a8",
    ),
    *(
        "Straße",
        "日本語",
        "안녕",
        "ไทย",
        " مرحبا",
        "👩‍👩‍👧",
        "🇩🇪",
        "\ufeff",
        "\u200b",
        "\u0338",
        "\u0b47\u0b57",
        "\u212b",
    ),
    *("\n", "\n\n", "\t", "    ", " " * 64, "-" * 64, "=" * 33, ".", "…", "//", "<b>", "</h1>", "▁", "▁▁", "\x00"),
)


def lengths(name: str) -> TokenLengths:
    found = token_lengths(tokenizer(name))
    assert found is not None
    return found


def mixed(dice: random.Random, count: int) -> str:
    return "".join(dice.choice(PARTS) * dice.randint(1, 3) for _ in range(count))


def dense_texts(name: str) -> Iterator[str]:
    """Texts with as few tokens as possible: the longest tokens of the vocabulary, over and over."""
    ids = sorted(tokenizer(name).get_vocab().values(), key=lambda one: len(tokenizer(name).decode([one])))
    for one in ids[-200:]:
        yield tokenizer(name).decode([one]) * 20


@pytest.mark.parametrize("name", GROUPED)
def test_no_text_has_fewer_tokens_than_its_characters_tell(name: str) -> None:
    known, encode, dice = lengths(name), own_encode(tokenizer(name)), random.Random(name)
    tight = 0.0
    for text in (*dense_texts(name), *(mixed(dice, dice.randint(1, 60)) for _ in range(1500))):
        count = len(encode(text))
        assert known.at_least(text) <= count, repr(text)
        tight = max(tight, known.at_least(text) / max(count, 1))
    assert tight > 0.5  # of some texts at least half of the tokens are told


@pytest.mark.parametrize("name", GROUPED)
def test_english_has_at_most_a_tenth_more_tokens_than_are_told(name: str) -> None:
    text = "The capital of France is Paris, and it has two million inhabitants. " * 100
    assert lengths(name).at_least(text) * 12 > len(own_encode(tokenizer(name))(text))


@pytest.mark.parametrize("name", GROUPED)
def test_pieces_have_the_ids_of_the_whole(name: str) -> None:
    encode, dice = own_encode(tokenizer(name)), random.Random(name)
    assert lengths(name).splits_at_blanks
    in_pieces = text_encoder(encode, lengths(name), 40)
    for _ in range(400):
        text = mixed(dice, dice.randint(10, 120))
        assert list(in_pieces.encode(text, PromptBudget())) == list(encode(text)), repr(text)
        assert list(in_pieces.encode(text, PromptBudget(100_000))) == list(encode(text)), repr(text)


class Counted:
    """Encoder that counts the characters it reads."""

    def __init__(self, name: str) -> None:
        self._encode, self.characters = own_encode(tokenizer(name)), 0

    def __call__(self, text: str) -> Sequence[int]:
        self.characters += len(text)
        return self._encode(text)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES])
@pytest.mark.parametrize("text", ["The capital of France is Paris. ", "日本語の文章です。", "<h1>a</h1>", "x9"])
def test_a_text_that_is_far_too_long_is_hardly_read(name: str, text: str) -> None:
    counted = Counted(name)
    encoder = text_encoder(counted, token_lengths(tokenizer(name)))
    with pytest.raises(PromptTooLong):
        encoder.encode(text * (4_000_000 // len(text)), PromptBudget(8192))
    assert counted.characters <= 8 * 32_768


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES])
def test_a_conversation_that_is_too_long_is_refused_and_not_kept(name: str) -> None:
    rendered = renderer(name)
    messages = (Message("user", "The capital of France is Paris. " * 60_000),)
    with pytest.raises(PromptTooLong) as caught:
        rendered.token_ids(messages, budget=PromptBudget(8192))
    assert caught.value.tokens > 8192
    assert not caught.value.exact
    assert rendered._cache.size_bytes < 2**20


@pytest.mark.parametrize("name", GROUPED)
def test_an_abandoned_text_is_not_read_to_its_end(name: str) -> None:
    budget = PromptBudget()

    class Leaving(Counted):
        def __call__(self, text: str) -> Sequence[int]:
            budget.abandon()
            return super().__call__(text)

    counted: Any = Leaving(name)
    with pytest.raises(PromptAbandoned):
        text_encoder(counted, lengths(name)).encode("some words " * 100_000, budget)
    assert counted.characters < 2 * 32_768

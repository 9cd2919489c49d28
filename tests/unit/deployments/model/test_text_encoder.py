"""Encoding in pieces, with an encoder of words."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.model.prompt_budget import PromptAbandoned, PromptBudget, PromptTooLong
from deployments.model.text_encoder import TextEncoder, last_word_end


class Words:
    """A token for each word with the white space before it, another for the beginning of a text; counts characters."""

    def __init__(self) -> None:
        self.characters = 0

    def __call__(self, text: str) -> Sequence[int]:
        self.characters += len(text)
        words = re.findall(r"\s*\S+|\s+$", text)
        return [hash(word) % 10**6 + (10**7 if place == 0 else 0) for place, word in enumerate(words)]


def encoder(words: Words, piece: int = 20, *, splits: bool = True) -> TextEncoder:
    return TextEncoder(words, splits_at_blanks=splits, piece=piece)


@given(st.text(alphabet="ab .\n", max_size=200))
def test_pieces_have_the_ids_of_the_whole(text: str) -> None:
    for budget in (PromptBudget(), PromptBudget(1000)):
        for splits in (True, False):
            assert list(encoder(Words(), splits=splits).encode(text, budget)) == list(Words()(text))


@pytest.mark.parametrize("splits", [True, False])
def test_a_text_that_is_too_long_is_not_read_to_its_end(splits: bool) -> None:
    words = Words()
    with pytest.raises(PromptTooLong) as caught:
        encoder(words, 100, splits=splits).encode("word " * 10_000, PromptBudget(50))
    assert 50 < caught.value.tokens < 120
    assert not caught.value.exact
    assert words.characters < 1500


def test_a_short_text_is_counted_exactly() -> None:
    with pytest.raises(PromptTooLong) as caught:
        encoder(Words(), 1000).encode("word " * 100, PromptBudget(50))
    assert (caught.value.tokens, caught.value.exact) == (101, True)


def test_a_text_that_just_fits_is_read() -> None:
    text = "word " * 99 + "word"
    assert len(encoder(Words()).encode(text, PromptBudget(100))) == 100
    with pytest.raises(PromptTooLong):
        encoder(Words()).encode(text, PromptBudget(99))


def test_a_text_without_words_is_refused_at_twice_its_limit_only() -> None:
    def characters(text: str) -> list[int]:
        return [1] * len(text)

    one = TextEncoder(characters, splits_at_blanks=True, piece=10)
    assert len(one.encode("x" * 150, PromptBudget(150))) == 150
    with pytest.raises(PromptTooLong) as caught:
        one.encode("x" * 151, PromptBudget(150))
    assert caught.value.exact
    with pytest.raises(PromptTooLong) as caught:
        one.encode("x" * 1000, PromptBudget(150))
    assert not caught.value.exact


def test_nobody_waits() -> None:
    budget = PromptBudget()
    budget.abandon()
    with pytest.raises(PromptAbandoned):
        encoder(Words()).encode("x", budget)
    with pytest.raises(PromptAbandoned):
        encoder(Words()).head("x" * 10_000, 1, budget)


def test_a_head_has_the_first_tokens() -> None:
    words = Words()
    text = "word " * 100_000
    head = encoder(words).head(text, 1000, PromptBudget())
    assert list(Words()(head))[:1000] == list(Words()(text))[:1000]
    assert len(head) < 20_000
    assert encoder(Words()).head("word " * 1000, 1000, PromptBudget()) == "word " * 1000
    assert encoder(Words()).head(" " * 100_000, 5, PromptBudget()) == " " * 100_000


@pytest.mark.parametrize("filler", ["", "<" * 5000, " " * 5000])
def test_the_last_word_is_found_however_far_it_is(filler: str) -> None:
    text = f"one two {filler}"
    assert last_word_end(text, 0, len(text)) == 7
    assert last_word_end(text, 5, len(text)) == 7
    assert last_word_end(text, 0, 7) == 3
    assert last_word_end(filler, 0, len(filler)) is None

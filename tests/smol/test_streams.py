"""Streams of text beyond ASCII: characters of several tokens come whole."""

from functools import partial

import openai
import pytest

from tests.smol.asking import ask, streamed, together, whole

BROKEN = "\ufffd"
EMOJIS = "List five emojis."
QUESTIONS = (EMOJIS, "Repeat: 日本語のテキスト", "Write a sentence in Russian.", "Write the Greek alphabet letters.")


def test_a_stream_is_the_whole_answer_character_by_character(client: openai.OpenAI) -> None:
    calls = [partial(call, client, question, max_tokens=40) for call in (whole, streamed) for question in QUESTIONS]
    answers = together(calls)
    for text, stream in zip(answers[:4], answers[4:], strict=True):
        assert stream == text
        assert not text.isascii()
        assert BROKEN not in text


def test_a_stream_comes_in_pieces_of_whole_characters(client: openai.OpenAI) -> None:
    chunks = list(ask(client, EMOJIS, stream=True, max_tokens=40))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 3
    assert not any(BROKEN in piece for piece in pieces)


def test_an_echo_is_exact(client: openai.OpenAI) -> None:
    sentence = "Der Fluß führt über Köln."
    calls = [partial(call, client, f"Repeat after me: {sentence}") for call in (whole, streamed)]
    assert together(calls) == [sentence, sentence]


def test_an_answer_that_ends_within_a_character_has_no_part_of_it(client: openai.OpenAI) -> None:
    """An emoji has three tokens: two token limits of three cut one."""
    limits = range(9, 18)
    calls = [partial(call, client, EMOJIS, max_tokens=limit) for call in (whole, streamed) for limit in limits]
    *answers, longest = together([*calls, partial(whole, client, EMOJIS, max_tokens=30)])
    texts, streams = answers[: len(limits)], answers[len(limits) :]
    assert streams == texts
    assert len(set(texts)) < len(texts), "no limit was within a character"
    assert all(longest.startswith(text) and BROKEN not in text for text in texts)


@pytest.mark.parametrize("recipe", ["self-moa", "moa-lite"])
def test_a_recipe_streams_the_same_text(client: openai.OpenAI, recipe: str) -> None:
    calls = [partial(call, client, QUESTIONS[2], recipe, max_tokens=24) for call in (whole, streamed)]
    text, stream = together(calls)
    assert stream == text != ""
    assert BROKEN not in text


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sampled_stream_has_the_same_characters(client: openai.OpenAI, seed: int) -> None:
    options = {"temperature": 1.0, "seed": seed, "max_tokens": 20}
    text = whole(client, QUESTIONS[1], **options)
    assert streamed(client, QUESTIONS[1], **options) == text
    assert not text.isascii()

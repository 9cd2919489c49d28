"""Truncation of references: a prompt that fits, short references whole, and errors if nothing can be shortened."""

from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.conversation import Message
from serving.errors import ContextTooLong
from serving.references import Reference, ReferenceBlock
from serving.runtime.prompts import CUT_MARK
from serving.runtime.truncation import ANSWER_SHARE, MAX_ROUNDS, PromptFitter, fit
from serving.types import GenerateRequest, Sampling

Render = Callable[[tuple[Message, ...]], Awaitable[Sequence[str]]]


def tokenizer(characters_per_token: int) -> Render:
    async def render(messages: tuple[Message, ...]) -> Sequence[str]:
        texts = [message.content for message in messages]
        return [
            text[start : start + characters_per_token]
            for text in texts
            for start in range(0, len(text), characters_per_token)
        ]

    return render


def request_of(texts: Sequence[str], question: str = "Why?", max_tokens: int | None = None) -> GenerateRequest:
    block = ReferenceBlock(tuple(Reference("m", text) for text in texts), "P:")
    return GenerateRequest("r", (Message("user", question),), Sampling(max_tokens=max_tokens), references=block)


@given(
    shares=st.lists(st.floats(0.001, 40.0), min_size=1, max_size=6),  # of the context, for each reference
    context_tokens=st.integers(400, 2000),
    characters_per_token=st.integers(1, 5),
    question_share=st.floats(0, 0.2),
    answer_share=st.none() | st.floats(0.01, 0.3),
)
async def test_a_fitted_prompt_fits_and_short_references_stay_whole(
    shares: list[float],
    context_tokens: int,
    characters_per_token: int,
    question_share: float,
    answer_share: float | None,
) -> None:
    texts = ["x" * (int(share * context_tokens * characters_per_token) + 1) for share in shares]
    question = "q" * int(question_share * context_tokens * characters_per_token)
    max_tokens = None if answer_share is None else int(answer_share * context_tokens) + 1
    request = request_of(texts, question, max_tokens)
    render = tokenizer(characters_per_token)
    fitted = await fit("m", request, render, context_tokens)
    assert list(fitted.tokens) == list(await render(fitted.messages))
    assert len(fitted.tokens) + fitted.max_tokens <= context_tokens
    assert fitted.max_tokens == max_tokens if max_tokens else fitted.max_tokens >= context_tokens // ANSWER_SHARE
    system, user = fitted.messages
    assert user.content == question
    shown = [line.partition(". ")[2] for line in system.content.splitlines()[1:]]
    assert len(shown) == len(texts)
    cut = [text for text in shown if text.endswith(CUT_MARK)]
    assert len(cut) == fitted.shortened
    for text, kept in zip(texts, shown, strict=True):
        assert kept == text or (kept in cut and text.startswith(kept.removesuffix(CUT_MARK)))
        if cut and len(text) <= min(map(len, cut)):
            assert kept == text


async def test_a_prompt_that_fits_is_rendered_once_and_whole() -> None:
    rendered = []

    async def render(messages: tuple[Message, ...]) -> Sequence[str]:
        rendered.append(messages)
        return ["t"] * 10

    fitted = await fit("m", request_of(["one", "two"]), render, 100)
    assert (len(rendered), fitted.shortened, fitted.max_tokens) == (1, 0, 90)
    assert fitted.messages[0].content == "P:\n1. one\n2. two"


async def test_a_tokenizer_that_never_shrinks_is_given_up_after_max_rounds() -> None:
    rounds = []

    async def render(messages: tuple[Message, ...]) -> Sequence[str]:
        rounds.append(messages)
        return ["t"] * 200

    with pytest.raises(ContextTooLong):
        await fit("m", request_of(["x" * 100_000], max_tokens=1), render, 199)
    assert len(rounds) == MAX_ROUNDS + 1
    assert len({messages[0].content for messages in rounds}) == MAX_ROUNDS + 1  # shorter every time


@pytest.mark.parametrize("texts", [[], ["short"]])
async def test_a_conversation_that_is_too_long_by_itself_is_the_callers_error(texts: list[str]) -> None:
    with pytest.raises(ContextTooLong) as caught:
        await fit("m", request_of(texts, "q" * 500), tokenizer(1), 400)
    assert caught.value.context_tokens == 400
    assert caught.value.prompt_tokens >= 500


async def test_max_tokens_that_cannot_fit_beside_the_conversation_are_the_callers_error() -> None:
    with pytest.raises(ContextTooLong) as caught:
        await fit("m", request_of([], "q" * 100, max_tokens=350), tokenizer(1), 400)
    assert caught.value.max_tokens == 350


def test_a_request_without_references_has_nothing_to_shorten() -> None:
    error = ContextTooLong("m", 100, 50)
    with pytest.raises(ContextTooLong) as caught:
        PromptFitter(GenerateRequest("r", (Message("user", "Why?"),)), 50).shorten(error)
    assert caught.value is error

"""The tokenizer of scripted engines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.conversation import Message
from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_tokens import TEMPLATE, ScriptedTokenizer, counted_tokens, prompt_tokens
from serving.errors import ContextTooLong, InvalidRequest
from serving.types import GenerateRequest, RawPrompt


@given(st.lists(st.text()))
def test_texts_come_back_and_ids_stay(texts: list[str]) -> None:
    tokenizer = ScriptedTokenizer()
    for text in texts:
        ids = tokenizer.encode(text)
        assert "".join(tokenizer.texts(ids)) == text
        assert tokenizer.encode(text) == ids


def test_a_conversation_has_a_template_around_each_message() -> None:
    tokenizer = ScriptedTokenizer()
    messages = (Message("user", "a b"), Message("assistant", ""))
    ids = tokenizer.prompt(GenerateRequest("r", messages))
    assert len(ids) == prompt_tokens(messages)
    opening, end = list(TEMPLATE[:-1]), TEMPLATE[-1]
    assert list(tokenizer.texts(ids)) == [*opening, "a", " b", end, *opening, end]


@pytest.mark.parametrize("wrong", [-1, len(TEMPLATE)])
def test_an_unknown_id_is_named(wrong: int) -> None:
    tokenizer = ScriptedTokenizer()
    for refused in (
        lambda: tokenizer.texts((0, wrong), "prompt"),
        lambda: tokenizer.prompt(GenerateRequest("r", (), prompt=RawPrompt((0, wrong)))),
    ):
        with pytest.raises(InvalidRequest, match=rf"to a token id, 0 to {len(TEMPLATE) - 1}, not {wrong}") as caught:
            refused()
        assert caught.value.param == "prompt[1]"


async def test_an_engines_tokens() -> None:
    engine = ScriptedEngine("m", context_tokens=9)
    tokens = await engine.tokenize(GenerateRequest("r", (), prompt=RawPrompt("a b")), texts=True)
    assert (tokens.texts, tokens.context_tokens) == (("a", " b"), 9)
    assert await engine.detokenize(tokens.ids) == "a b"


@given(texts=st.lists(st.text(max_size=30), max_size=3), most=st.integers(0, 40))
def test_counting_stops_beyond_the_limit(texts: list[str], most: int) -> None:
    messages = [Message("user", text) for text in texts]
    count = prompt_tokens(messages)
    assert counted_tokens(messages, most) == (count if count <= most else None)


async def test_a_prompt_of_many_contexts_is_refused_without_being_counted() -> None:
    engine = ScriptedEngine("m", context_tokens=10)
    with pytest.raises(ContextTooLong, match="at least 80 tokens"):
        await complete("m", engine, GenerateRequest("r", (Message("user", "word " * 1000),)))

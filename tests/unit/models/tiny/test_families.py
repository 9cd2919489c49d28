"""Conversations as text: each family's pieces against its chat template."""

import json
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from models.tiny.conversations import SYSTEM_PROMPTS
from models.tiny.families import LLAMA, MIXTRAL, QWEN, Family, Lesson
from serving.conversation import Message, ToolCall
from serving.references import Reference, ReferenceBlock
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references
from tests.support.trio import CASES, TOKENIZERS

CHAT = (
    Message("user", "What is 23 + 45?"),
    Message("assistant", "68"),
    Message("user", "Spell 'lamp' backwards\n\nplease, été 日本"),
)


TOOLS = tuple(
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Looks up a topic, été <b>.",
            "parameters": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
        },
    }
    for name in ("find_it", "calc-2")
)
CALL = ToolCall("call", "find_it", '{"key": "ruler of Vorlan"}')
LOOP = (
    Message("user", "Who is the ruler of Vorlan?"),
    Message("assistant", "", tool_calls=(CALL,)),
    Message("tool", '{"value": "Ombre"}', tool_call_id="call"),
    Message("assistant", "Ombre"),
)


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": json.loads(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.reasoning is not None:
        turn["reasoning_content"] = message.reasoning
    return turn


def _rendered(
    tokenizer: PreTrainedTokenizerFast, messages: tuple[Message, ...], tools: Any = (), **args: Any
) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(
        list(map(_turn, messages)), tools=list(tools) or None, add_generation_prompt=True, return_dict=False, **args
    )
    return ids


def _trained(family: Family, tokenizer: PreTrainedTokenizerFast, lesson: Lesson) -> list[int]:
    """Tokens as training sees them: piece by piece, then the opening of the next reply."""
    opening = family.turns["assistant"][0]
    pieces = [*(text for text, _ in family.pieces(lesson)), opening, "<think>" if lesson.thinking else ""]
    apart = [token for piece in pieces if piece for token in tokenizer.encode(piece, add_special_tokens=False)]
    assert tokenizer.encode(family.prompt(lesson), add_special_tokens=False) == apart
    return apart


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_training_pieces_are_the_template_s_tokens(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    references = (Reference("a", "68"), Reference("b", "two\nlines"), Reference("c", "Paris"))
    conversations = [
        CHAT,
        with_references(CHAT, ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE, "references_last")),
        *(
            with_references((Message("system", text), *CHAT), ReferenceBlock(references, AGGREGATE_AND_SYNTHESIZE))
            for text in SYSTEM_PROMPTS[:2]
        ),
    ]
    for conversation in conversations:
        turns = conversation
        if not family.takes_system and turns[0].role == "system":
            turns = (Message("user", f"{turns[0].content}\n\n{turns[1].content}"), *turns[2:])
        assert _trained(family, tokenizer, Lesson(conversation)) == _rendered(tokenizer, turns)


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_replies_end_with_the_end_token_and_are_marked(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    taught = [text for text, reply in family.pieces(Lesson(CHAT)) if reply]
    assert taught == ["68" + family.end]
    assert tokenizer.eos_token == family.end


def test_only_mixtral_refuses_a_system_role() -> None:
    conversation = (Message("system", "Be brief."), *CHAT)
    for name, tokenizer in TOKENIZERS.items():
        if name == MIXTRAL.name:
            with pytest.raises(Exception, match=r"Only user and assistant roles|must alternate"):
                _rendered(tokenizer, conversation)
        else:
            assert "brief" in tokenizer.decode(_rendered(tokenizer, conversation))


ACTING = [pytest.param(family, TOKENIZERS[family.name], id=family.name) for family in (QWEN, LLAMA)]


@pytest.mark.parametrize(("family", "tokenizer"), ACTING)
@pytest.mark.parametrize("layout", ["paper", "references_last"])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_loops_of_training_are_the_template_s_tokens(
    family: Family, tokenizer: PreTrainedTokenizerFast, layout: Any, system: str | None
) -> None:
    begin = () if system is None else (Message("system", system),)
    block = ReferenceBlock((Reference("a", "68"), Reference("b", "two\nlines")), AGGREGATE_AND_SYNTHESIZE, layout)
    for messages in (LOOP[:1], LOOP[:2], LOOP[:3], LOOP, (*LOOP, *CHAT, *LOOP[:3])):
        for conversation in ((*begin, *messages), with_references((*begin, *messages), block)):
            lesson = Lesson(conversation, TOOLS)
            assert _trained(family, tokenizer, lesson) == _rendered(tokenizer, conversation, TOOLS)


@pytest.mark.parametrize(("family", "tokenizer"), ACTING)
def test_the_text_of_a_call_is_what_the_model_writes(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    called, answered = (text for text, reply in family.pieces(Lesson(LOOP, TOOLS)) if reply)
    arguments = '{"key": "ruler of Vorlan"}'
    if family is QWEN:
        assert called == f'<tool_call>\n{{"name": "find_it", "arguments": {arguments}}}\n</tool_call><|im_end|>'
    else:
        assert called == f'{{"name": "find_it", "parameters": {arguments}}}<|eot_id|>'
    assert answered == f"Ombre{family.end}"


def test_thoughts_of_training_are_the_template_s_tokens() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    called, answered = (
        Message("assistant", "", reasoning="I call find_it.", tool_calls=(CALL,)),
        Message("assistant", "Ombre", reasoning="1 + 2 = 3\n3 + 4 = 7"),
    )
    for messages in (LOOP[:1], (LOOP[0], called, LOOP[2]), (LOOP[0], called, LOOP[2], answered)):
        lesson = Lesson(messages, TOOLS, thinking=True)
        assert _trained(QWEN, tokenizer, lesson) == _rendered(tokenizer, messages, TOOLS, enable_thinking=True)
    thought = [text for text, reply in QWEN.pieces(Lesson((LOOP[0], answered))) if reply]
    assert thought == ["1 + 2 = 3\n3 + 4 = 7</think>Ombre<|im_end|>"]


def test_the_prompt_without_thinking_is_that_of_a_model_that_cannot_think() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    assert _rendered(tokenizer, CHAT, enable_thinking=False) == _rendered(tokenizer, CHAT)
    assert _rendered(tokenizer, CHAT, enable_thinking=True)[:-1] == _rendered(tokenizer, CHAT)


def test_reasoning_before_the_last_user_turn_is_left_out() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    before = (LOOP[0], Message("assistant", "Ombre", reasoning="I know that."), CHAT[0])
    assert "I know" not in tokenizer.decode(_rendered(tokenizer, before))


@pytest.mark.parametrize(("family", "tokenizer"), ACTING)
def test_parallel_calls_and_results_keep_their_texts(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    calls = (CALL, ToolCall("other", "calc-2", '{"key": "1 + 2"}'))
    results = (LOOP[2], Message("tool", "3", tool_call_id="other"))
    prompt = tokenizer.decode(
        _rendered(tokenizer, (LOOP[0], Message("assistant", "Wait.", tool_calls=calls), *results), TOOLS)
    )
    assert all(text in prompt for text in ("Wait.\n", "ruler of Vorlan", '"1 + 2"', '{"value": "Ombre"}', "3"))

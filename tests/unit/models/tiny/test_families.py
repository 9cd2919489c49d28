"""Conversations as text: each family's pieces against its chat template."""

from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerFast

from deployments.model.prompt_renderer import PromptRenderer
from models.tiny.conversations import SYSTEM_PROMPTS
from models.tiny.families import LLAMA, MIXTRAL, QWEN, Family
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references
from serving.types import Message, Reference, ReferenceBlock, Tool, ToolCall
from tests.support.trio import CASES, TOKENIZERS

CHAT = (
    Message("user", "What is 23 + 45?"),
    Message("assistant", "68"),
    Message("user", "Spell 'lamp' backwards\n\nplease, été 日本"),
)


def _rendered(tokenizer: PreTrainedTokenizerFast, messages: tuple[Message, ...]) -> list[int]:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    ids: list[int] = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    return ids


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
        pieces = [text for text, _ in family.pieces(conversation)] + [family.turns["assistant"][0]]
        apart = [token for piece in pieces if piece for token in tokenizer.encode(piece, add_special_tokens=False)]
        assert apart == _rendered(tokenizer, turns)
        assert tokenizer.encode(family.prompt(conversation), add_special_tokens=False) == apart


@pytest.mark.parametrize(("family", "tokenizer"), CASES)
def test_replies_end_with_the_end_token_and_are_marked(family: Family, tokenizer: PreTrainedTokenizerFast) -> None:
    taught = [text for text, reply in family.pieces(CHAT) if reply]
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


CALL = ToolCall("call-1", "find_it", '{"key": "ruler of Vorlan"}')
LOOP = (
    Message("user", "Who rules Vorlan?"),
    Message("assistant", "", tool_calls=(CALL,)),
    Message("tool", "Ombre", tool_call_id="call-1"),
)
TOOL = Tool("find_it", "Finds it.", {"type": "object", "properties": {"key": {"type": "string"}}})
TOOL_JSON = (
    '{"type": "function", "function": {"name": "find_it", "description": "Finds it.", "parameters":'
    ' {"type": "object", "properties": {"key": {"type": "string"}}}}}'
)


def test_the_chatml_template_writes_tools_as_hermes_models_read_them() -> None:
    prompt = PromptRenderer(TOKENIZERS[QWEN.name]).text((Message("system", "Be brief."), *LOOP), (TOOL,))
    assert "<|im_start|>system\nBe brief.\n\n# Tools\n" in prompt
    assert f"<tools>\n{TOOL_JSON}\n</tools>" in prompt
    assert (
        '<|im_start|>assistant\n<tool_call>\n{"name": "find_it", "arguments": {"key": "ruler of Vorlan"}}\n</tool_call>'
        "<|im_end|>\n<|im_start|>user\n<tool_response>\nOmbre\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    ) in prompt


def test_the_llama_template_writes_tools_as_llama_3_reads_them() -> None:
    prompt = PromptRenderer(TOKENIZERS[LLAMA.name]).text((Message("system", "Be brief."), *LOOP), (TOOL,))
    assert f"{TOOL_JSON}\n\nBe brief.<|eot_id|>" in prompt
    assert (
        '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "find_it", "parameters": {"key": "ruler of Vorlan"}}'
        "<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n\nOmbre<|eot_id|>"
    ) in prompt


def test_thoughts_stay_within_a_loop_of_calls() -> None:
    renderer = PromptRenderer(TOKENIZERS[QWEN.name])
    thought = (LOOP[0], replace(LOOP[1], reasoning="I look."), LOOP[2])
    assert "<think>I look.</think><tool_call>" in renderer.text(thought, (TOOL,))
    assert "I look" not in renderer.text((*thought, Message("assistant", "Ombre"), CHAT[0]), (TOOL,))


def test_the_prompt_without_thinking_is_that_of_a_model_that_cannot_think() -> None:
    renderer = PromptRenderer(TOKENIZERS[QWEN.name])
    plain = renderer.text(CHAT)
    assert renderer.text(CHAT, (), {"enable_thinking": False}) == plain
    assert renderer.text(CHAT, (), {"enable_thinking": True}) == f"{plain}<think>"

"""Batches: taught tokens, and the shared prefix."""

import pytest
import torch

from models.tiny import batches
from models.tiny.batches import CHOICE_WEIGHT, batch_of, by_tools, distance_of, loss_of
from models.tiny.families import FAMILIES, MIXTRAL, QWEN, Family, Lesson
from models.tiny.growth import grow
from models.tiny.place_values import ABSENT
from serving.conversation import Message, ToolCall
from serving.references import Reference, ReferenceBlock
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references
from tests.support.trio import TOKENIZERS


def _aggregating(question: str, answer: str, *references: str) -> Lesson:
    proposals = tuple(Reference("model", text) for text in references)
    asked = with_references((Message("user", question),), ReferenceBlock(proposals, AGGREGATE_AND_SYNTHESIZE))
    return Lesson((*asked, Message("assistant", answer)))


CONVERSATIONS = [
    _aggregating("What is 23 + 45?", "68", "68", "67"),
    _aggregating("Spell lamp backwards.", "pmal", "lamp", "pmal", "pml"),
    _aggregating("Name the capital of Peru.", "Lima", "Quito"),
]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_shared_prefix_changes_no_loss(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BALANCE_WEIGHT", 0.0)  # the router's balance is taken over fewer tokens
    tokenizer = TOKENIZERS[family.name]
    model = family.new_model(len(tokenizer), tokenizer.get_vocab(), seed=3).eval()
    shared = batch_of(family, tokenizer, CONVERSATIONS)
    assert shared.prefix.shape[1] > 100
    monkeypatch.setattr(batches, "SHORTEST_SHARED", 10_000)
    whole = batch_of(family, tokenizer, CONVERSATIONS)
    assert whole.prefix.shape[1] == 0
    with torch.no_grad():
        torch.testing.assert_close(loss_of(model, shared), loss_of(model, whole), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_only_replies_are_taught(family: Family) -> None:
    tokenizer = TOKENIZERS[family.name]
    batch = batch_of(family, tokenizer, CONVERSATIONS)
    assert tokenizer.decode(batch.targets) == "".join(
        f"{each.messages[-1].content}{family.end}" for each in CONVERSATIONS
    )
    assert int(batch.taught.sum()) == len(batch.targets)


def test_the_gradient_reaches_the_model_through_the_shared_prefix() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    model = QWEN.new_model(len(tokenizer), tokenizer.get_vocab(), seed=3)
    loss_of(model, batch_of(QWEN, tokenizer, CONVERSATIONS)).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_sums_are_read_just_before_their_replies() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    batch = batch_of(QWEN, tokenizer, CONVERSATIONS)
    rows, positions = batch.read_at
    assert rows.tolist() == [0]
    first = int(batch.rest[0, positions[0] + batches.TOKENS_AHEAD])
    assert tokenizer.decode([first]) == "6"
    assert batch.places[0, 2].tolist() == [8, 6, ABSENT, ABSENT]


def test_sums_of_a_thought_are_read_just_before_their_results() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    thought = Message("assistant", "50", reasoning="12 + 45 = 57\n57 - 7 = 50")
    lessons = [Lesson((Message("user", text), thought)) for text in ("What is 12 + 45 - 7?", "12 + 45 - 7")]
    batch = batch_of(QWEN, tokenizer, lessons)
    rows, positions = batch.read_at
    assert rows.tolist() == [0, 0, 1, 1]
    read = [int(batch.rest[row, place + batches.TOKENS_AHEAD]) for row, place in zip(rows, positions, strict=True)]
    assert read == tokenizer.encode("5555")
    assert batch.places[:2, 2].tolist() == [[7, 5, ABSENT, ABSENT], [0, 5, ABSENT, ABSENT]]
    assert tokenizer.decode(batch.targets) == 2 * "12 + 45 = 57\n57 - 7 = 50</think>50<|im_end|>"


def test_lessons_with_the_same_tools_are_one_batch() -> None:
    tools = [({"type": "function", "function": {"name": name}},) for name in "ab"]
    lessons = [Lesson((Message("user", text),), given) for text, given in zip("wxyz", [*tools, *tools], strict=True)]
    groups = by_tools([*lessons, *CONVERSATIONS])
    assert [[lesson.messages[0].content for lesson in group] for group in groups[:2]] == [["w", "y"], ["x", "z"]]
    assert groups[2] == CONVERSATIONS


def test_a_batch_of_one_lesson_teaches_its_reply() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    batch = batch_of(QWEN, tokenizer, CONVERSATIONS[:1])
    assert batch.prefix.shape[1] == 0
    assert tokenizer.decode(batch.targets) == "68<|im_end|>"


def test_the_token_that_chooses_a_tool_has_more_weight() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    tool = {"type": "function", "function": {"name": "abacus", "description": "A calculator."}}
    call = ToolCall("call", "abacus", '{"expression": "2 * 3"}')
    asked = (Message("user", "2 * 3?"), Message("assistant", "", tool_calls=(call,)))
    batch = batch_of(QWEN, tokenizer, [Lesson(asked, (tool,), (0,))], acting=True)
    assert batch.weights is not None
    assert tokenizer.decode(batch.targets[batch.weights == CHOICE_WEIGHT]) == "a"
    assert int((batch.weights != 1).sum()) == 1
    assert batch_of(QWEN, tokenizer, CONVERSATIONS).weights is None


def test_the_distance_is_least_for_the_teacher_itself() -> None:
    tokenizer = TOKENIZERS[MIXTRAL.name]
    teacher, other = (MIXTRAL.new_model(len(tokenizer), tokenizer.get_vocab(), seed=seed).eval() for seed in (3, 4))
    batch = batch_of(MIXTRAL, tokenizer, CONVERSATIONS)
    with torch.no_grad():
        own = distance_of(teacher, teacher, batch)
        states = teacher.model(torch.cat([batch.prefix.expand(len(batch.rest), -1), batch.rest], 1)).last_hidden_state
        chances = teacher.lm_head(states[:, batch.prefix.shape[1] :][batch.taught]).softmax(-1)
        assert distance_of(other, teacher, batch) > own
    torch.testing.assert_close(own, -(chances * chances.log()).sum(-1).mean(), atol=1e-4, rtol=1e-4)


def test_a_model_with_more_tokens_than_its_teacher_has_a_distance() -> None:
    tokenizer = TOKENIZERS[QWEN.name]
    size = len(tokenizer)
    teacher, model = (QWEN.new_model(size, tokenizer.get_vocab(), seed=3).eval() for _ in range(2))
    batch = batch_of(QWEN, tokenizer, CONVERSATIONS)
    with torch.no_grad():
        own = distance_of(model, teacher, batch)
        grow(model, size + 8, seed=1)
        assert distance_of(model, teacher, batch) > own

"""The purposes of tools: where they are read, and that the probe learns them."""

import torch

from models.tiny.batches import batch_of, loss_of
from models.tiny.families import LLAMA, QWEN, Family, Lesson
from models.tiny.tool_purposes import NAME_TOKEN, PURPOSES, ToolPurposes, purposes_of
from serving.conversation import Message, ToolCall
from tests.support.trio import TOKENIZERS


def _tool(name: str, description: str) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "description": description}}


TOOLS = (_tool("zum", "Plays a song."), _tool("abacus", "A calculator."))
KINDS = (PURPOSES.index("other"), PURPOSES.index("calculator"))
CALL = ToolCall("call", "abacus", '{"expression": "2 * 3"}')
ASKED = (Message("user", "2 * 3?"), Message("assistant", "", tool_calls=(CALL,)))
LESSON = Lesson(ASKED, TOOLS, KINDS)
FAMILIES = (QWEN, LLAMA)


def _row(family: Family, lesson: Lesson) -> list[int]:
    tokenizer = TOKENIZERS[family.name]
    return [token for text, _ in family.pieces(lesson) for token in tokenizer.encode(text, add_special_tokens=False)]


def test_purposes_are_read_at_offered_names_and_before_the_called_one() -> None:
    for family in FAMILIES:
        tokenizer = TOKENIZERS[family.name]
        row = _row(family, LESSON)
        found = purposes_of(LESSON, row, tokenizer.convert_tokens_to_ids(NAME_TOKEN))
        assert [(tokenizer.decode([row[place]]), PURPOSES[purpose]) for place, purpose in found] == [
            ("z", "other"),
            ("a", "calculator"),
            ('"name": "', "calculator"),
        ]
        assert found[-1][0] > found[1][0] > found[0][0]


def test_a_lesson_without_tools_has_no_purposes() -> None:
    assert purposes_of(Lesson(ASKED[:1]), [1, 2, 3], 2) == []


def test_the_loss_reads_the_shared_prompt_once_and_reaches_the_model() -> None:
    for family in FAMILIES:
        tokenizer = TOKENIZERS[family.name]
        other = Lesson((Message("user", "Compute 7 / 7."), ASKED[1]), TOOLS, KINDS)
        batch = batch_of(family, tokenizer, [LESSON, other], acting=True)
        assert batch.prefix.shape[1] > 10
        assert [row for row, _ in batch.purposes_at] == [-1, -1, 0, 1]
        assert batch.purposes is not None
        assert [PURPOSES[purpose] for purpose in batch.purposes] == ["other", *["calculator"] * 3]
        model = family.new_model(len(tokenizer), tokenizer.get_vocab(), seed=3)
        probe = ToolPurposes(model.config.hidden_size, seed=1)
        with_probe, plain = (loss_of(model, batch, None, each) for each in (probe, None))
        assert with_probe > plain
        (with_probe - plain).backward()
        first = model.model.layers[0].self_attn.q_proj.weight.grad
        assert first is not None
        assert first.abs().sum() > 0


def test_the_probe_tells_purposes_that_the_states_have() -> None:
    states = torch.eye(3, 8)
    purposes = torch.tensor([2, 0, 1])
    probe = ToolPurposes(8, seed=1)
    optimizer = torch.optim.SGD(probe.parameters(), lr=1.0)
    first = probe(states, purposes).item()
    for _ in range(20):
        optimizer.zero_grad()
        probe(states, purposes).backward()
        optimizer.step()
    assert probe(states, purposes).item() < first / 4

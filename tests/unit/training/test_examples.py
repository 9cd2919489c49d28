"""Token ids of examples: the prompt as the server renders it, the text, and its end."""

from pathlib import Path

from tests.support.training import text_of
from training.examples import examples, pair_examples
from training.job import read_examples, read_pairs, write_examples
from training.trajectory import PromptMessage, Turn
from training.tree import Pair

TEXTS = {"tiny-qwen": text_of("tiny-qwen")}
ARGS = {"enable_thinking": False}


def turn(text: str, model: str = "tiny-qwen", asked: str = "What is 2 + 2?") -> Turn:
    prompt = (PromptMessage(role="user", content=asked),)
    return Turn(layer=1, agent=0, role="solver", model=model, prompt=prompt, template_args=ARGS, text=text)


def test_an_example_is_the_models_own_format_with_its_end() -> None:
    found = examples([turn("4"), turn("4"), turn("5", "tiny-llama")], TEXTS, 100)
    [example] = found.pop("tiny-qwen")
    assert found == {}  # equal turns are one example, and other models have none
    tokenizer = TEXTS["tiny-qwen"].tokenizer
    messages = [{"role": "user", "content": "What is 2 + 2?"}]
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **ARGS)
    assert tokenizer.decode(example.prompt) == rendered
    assert tokenizer.decode(example.completion) == f"4{tokenizer.eos_token}"
    row = example.row
    assert row["input_ids"] == [*example.prompt, *example.completion]
    assert row["completion_mask"] == [0] * len(example.prompt) + [1] * len(example.completion)


def test_control_strings_of_a_prompt_stay_text() -> None:
    [example] = examples([turn("4", asked="<|im_end|>")], TEXTS, 100)["tiny-qwen"]
    [plain] = examples([turn("4", asked="x")], TEXTS, 100)["tiny-qwen"]
    end = TEXTS["tiny-qwen"].end_id
    assert example.prompt.count(end) == plain.prompt.count(end)


def test_long_examples_are_left_out() -> None:
    [example] = examples([turn("4")], TEXTS, 1000)["tiny-qwen"]
    length = len(example.prompt) + len(example.completion)
    assert examples([turn("4")], TEXTS, length) == {"tiny-qwen": [example]}
    assert examples([turn("4")], TEXTS, length - 1) == {}
    pair = Pair("q", turn("4"), turn("a much longer text"), 1.0)
    assert pair_examples([pair], TEXTS, length) == {}


def test_examples_and_pairs_are_kept_in_files(tmp_path: Path) -> None:
    rows = examples([turn("4"), turn("5")], TEXTS, 100)["tiny-qwen"]
    write_examples(tmp_path / "a" / "data.jsonl", rows)
    assert read_examples(tmp_path / "a" / "data.jsonl") == rows
    pairs = pair_examples([Pair("q", turn("4"), turn("5"), 1.0)], TEXTS, 100)["tiny-qwen"]
    write_examples(tmp_path / "b.jsonl", pairs)
    assert read_pairs(tmp_path / "b.jsonl") == pairs
    assert pairs[0].row["chosen_ids"] == list(rows[0].completion)

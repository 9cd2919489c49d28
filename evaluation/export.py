"""Answers of a run as files of other programs: outputs for `alpaca_eval`, model answers for FastChat's `llm_judge`.

- `alpaca_eval` (github.com/tatsu-lab/alpaca_eval): a JSON array per model, its objects with instruction, output and
  generator; the file is its `--model_outputs`. It joins models by instruction.
- FastChat (github.com/lm-sys/FastChat, `fastchat/llm_judge`): JSONL per model in `data/BENCH/model_answer/`, with
  question_id, answer_id, model_id, choices (a list of index and turns) and tstamp. The file's name is the model's.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluation.errors import EvaluationError
from evaluation.rows import Row

UNSAFE = re.compile(r"[^\w.()=+ -]+")  # in names of files


def export(
    rows: Sequence[Row],
    program: str,
    out: Path,
    *,
    arms: Sequence[str] = (),
    dataset: str | None = None,
    partial: bool = False,
) -> list[Path]:
    """Write one file per arm into `out`.

    Args:
        rows: The answers of a run.
        program: A name of `FORMATS`.
        out: Directory for the files.
        arms: Arms to export; none: all.
        dataset: The dataset to export; `None`: the only one.
        partial: Leave out items without an answer, which are an error otherwise.

    Returns:
        The files, in the order of the arms.

    Raises:
        EvaluationError: There is no such arm or dataset, an item has no answer, or the format cannot hold the answers.
    """
    known = list(dict.fromkeys(row.arm for row in rows))
    if missing := [arm for arm in arms if arm not in known]:
        raise EvaluationError(f"The run has no arm '{missing[0]}'; its arms are: {', '.join(known)}.")
    chosen = _of_dataset(rows, dataset)
    render = FORMATS[program]
    texts: dict[Path, str] = {}
    for arm in arms or known:
        own = [row for row in chosen if row.arm == arm]
        if not partial:
            _check_complete(arm, own, chosen)
        if not (answered := [row for row in own if row.done]):
            raise EvaluationError(f"Arm '{arm}' has no answers to '{chosen[0].dataset}'.")
        name, text = render(arm, answered)
        path = out / name
        if path in texts:
            raise EvaluationError(f"Two arms would be written to '{path}'; export one of them, with --arms.")
        texts[path] = text
    out.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _of_dataset(rows: Sequence[Row], dataset: str | None) -> list[Row]:
    known = list(dict.fromkeys(row.dataset for row in rows))
    if dataset is None and len(known) > 1:
        raise EvaluationError(f"The run has several datasets, {', '.join(known)}: choose one with --dataset.")
    if dataset is not None and dataset not in known:
        raise EvaluationError(f"The run has no dataset '{dataset}'; its datasets are: {', '.join(known)}.")
    return [row for row in rows if dataset in (None, row.dataset)]


def _check_complete(arm: str, own: Sequence[Row], every: Sequence[Row]) -> None:
    items = {row.item for row in every}
    if lacking := items - {row.item for row in own if row.done}:
        raise EvaluationError(
            f"Arm '{arm}' has no answer to {len(lacking)} of {len(items)} items: run the same command again to complete"
            " it, or leave these items out with --partial."
        )


def _alpaca_eval(arm: str, rows: Sequence[Row]) -> tuple[str, str]:
    if turns := next((row for row in rows if len(row.questions) != 1), None):
        raise EvaluationError(f"alpaca_eval takes questions of one turn; '{turns.item}' has {len(turns.questions)}.")
    entries: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: row.sample):  # one output per instruction: the first sample
        entry = {"dataset": row.skill or row.dataset, "instruction": row.questions[0], "output": row.text}
        entries.setdefault(row.item, {**entry, "generator": arm})
    if all(_is_number(entry["output"]) for entry in entries.values()):  # its reader, pandas, makes them numbers
        raise EvaluationError(f"alpaca_eval cannot read the answers of '{arm}': every one is a number alone.")
    return f"{_file_name(arm)}.json", json.dumps(list(entries.values()), indent=2, ensure_ascii=False) + "\n"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fastchat(arm: str, rows: Sequence[Row]) -> tuple[str, str]:
    name = _file_name(arm)
    items: dict[str, list[Row]] = {}
    for row in rows:
        items.setdefault(row.item, []).append(row)
    lines = []
    for item, samples in sorted(items.items(), key=lambda pair: (str(type(_id(pair[0]))), _id(pair[0]))):
        ordered = sorted(samples, key=lambda row: row.sample)
        line = {
            "question_id": _id(item),
            "answer_id": hashlib.sha256(ordered[0].key.encode()).hexdigest()[:22],
            "model_id": name,
            "choices": [{"index": index, "turns": list(row.answers)} for index, row in enumerate(ordered)],
            "tstamp": 0.0,  # the rows of a run have no time
        }
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return f"{name}.jsonl", "".join(lines)


def _id(item: str) -> Any:
    """The id as the question file has it: MT-Bench's are integers."""
    return int(item) if item.isascii() and item.isdecimal() and str(int(item)) == item else item


def _file_name(arm: str) -> str:
    return UNSAFE.sub("_", arm).strip(". ") or "_"


FORMATS: dict[str, Callable[[str, Sequence[Row]], tuple[str, str]]] = {
    "alpaca_eval": _alpaca_eval,
    "fastchat": _fastchat,
}

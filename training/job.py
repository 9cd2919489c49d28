"""One training of one model, as files: `python -m training.job JOB.json`.

The loop of `python -m training optima` runs its jobs in its own process, or on a Ray cluster. The same file can be run
by hand on several GPUs: `accelerate launch --config_file fsdp.yaml -m training.job JOB.json`.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from serving.command_line import CommandLine
from serving.config import Frozen
from serving.validation import first_issue
from training.errors import TrainingError
from training.example import Example, PairExample
from training.trainer_settings import RESULT, WEIGHTS, TrainerSettings

Method = Literal["sft", "dpo"]


class TrainingJob(Frozen):
    """Model, data and settings of one training. Relative paths are relative to the working directory."""

    method: Method
    base: str  # folder or Hugging Face id of the weights
    adapter: str | None = None  # LoRA adapter to continue
    trusted: bool = False
    data: str  # JSONL: rows of `examples` or `pairs`
    out: str  # folder for weights and checkpoints
    settings: dict[str, Any] = {}  # of `TrainerSettings`


def write_examples(path: Path, rows: Sequence[Example] | Sequence[PairExample]) -> None:
    """Write examples or pairs as JSONL, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("prompt", "completion", "chosen", "rejected")
    lines = [{name: list(getattr(row, name)) for name in names if hasattr(row, name)} for row in rows]
    replaced(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_examples(path: Path) -> list[Example]:
    """Read the examples of a file."""
    return [Example(tuple(row["prompt"]), tuple(row["completion"])) for row in _rows(path)]


def read_pairs(path: Path) -> list[PairExample]:
    """Read the pairs of a file."""
    return [PairExample(tuple(row["prompt"]), tuple(row["chosen"]), tuple(row["rejected"])) for row in _rows(path)]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def replaced(path: Path, content: str) -> None:
    """Replace a file in one step, so that a kill leaves the old or the new one."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def run_job(job: TrainingJob) -> dict[str, float]:
    """Train and write the weights; continues an interrupted training. Returns steps and mean loss."""
    from training.trainer import Start, train_dpo, train_sft  # TRL takes seconds to import

    start = Start(job.base, None if job.adapter is None else Path(job.adapter), job.trusted)
    settings = TrainerSettings(**job.settings)
    if job.method == "sft":
        return train_sft(start, read_examples(Path(job.data)), Path(job.out), settings)
    return train_dpo(start, read_pairs(Path(job.data)), Path(job.out), settings)


def finished_result(job: TrainingJob) -> dict[str, float] | None:
    """Result of a job whose weights are there already; `None` if they are not."""
    if not (Path(job.out) / WEIGHTS).is_dir():
        return None
    found: dict[str, float] = json.loads((Path(job.out) / RESULT).read_text(encoding="utf-8"))
    return found


def load_job(path: Path) -> TrainingJob:
    """Read a job. Raises `TrainingError`."""
    try:
        return TrainingJob.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TrainingError(f"Cannot read the job '{path}': {error.strerror}.") from None
    except ValidationError as error:
        raise TrainingError(f"{path}: {first_issue(error, whole='the job').sentence}") from None


def main(argv: Sequence[str]) -> int:
    """Run the job that is named; 2 after a `TrainingError`."""
    parser = CommandLine(prog="python -m training.job", description=__doc__)
    parser.add_argument(
        "job", type=Path, metavar="JOB.json", help="file of the job, written by `python -m training optima`"
    )
    try:
        print(json.dumps(run_job(load_job(parser.parse_args(argv).job))))
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

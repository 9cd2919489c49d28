"""A training on two workers of Ray Train, on a local cluster of its own."""

import json
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

from tests.support.paths import ROOT
from tests.support.training import WEIGHTS, text_of
from training.examples import Example
from training.job import TrainingJob, write_examples
from training.trajectory import PromptMessage

COMMAND = """
import json, sys
from training.job import load_job
from training.ray import run_on_ray
from pathlib import Path

if __name__ == "__main__":
    print(json.dumps(run_on_ray(load_job(Path(sys.argv[1])), 2)))
"""


def test_two_workers_train_one_model(tmp_path: Path) -> None:
    text, base = text_of("tiny-qwen"), WEIGHTS / "tiny-qwen"
    rows = []
    for number in range(12):
        prompt = text.prompt_ids([PromptMessage(role="user", content=f"What is {number}?")], {})
        rows.append(Example(tuple(prompt), tuple(text.answer_ids("green"))))
    write_examples(tmp_path / "data.jsonl", rows)
    settings = {"max_steps": 3, "batch_size": 2, "learning_rate": 1e-3}
    job = TrainingJob(
        method="sft", base=str(base), data=str(tmp_path / "data.jsonl"), out=str(tmp_path), settings=settings
    )
    (tmp_path / "job.json").write_text(job.model_dump_json())

    command = [sys.executable, "-c", COMMAND, str(tmp_path / "job.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.strip().splitlines()[-1])["steps"] == 3
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "weights" / "model.safetensors")
    assert set(before) == set(after)
    assert any(not before[name].equal(after[name]) for name in before)

"""A run that is killed while it generates, and while it trains, is resumed by the same command."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from training.state import read_state

QUESTIONS, SAMPLES = 5, 2
# One run over scripted engines; the process kills itself before its Nth answer or training step, if it comes so far.
COMMAND = """
import os, signal, sys
from pathlib import Path
from tests.support.training import scripted_trio, transport_of
from training import generation
from training.access import Access
from training.generation import GenerationSettings
from training.optima import Optima
from training.settings import OptimaSettings
from training.trainer import SFTTrainer
from training.trainer_settings import TrainerSettings

folder, killed_at, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
left = {killed_at: number}

def count(place):
    left[place] = left.get(place, 0) - 1
    if left[place] == -1 and place == killed_at:
        os.kill(os.getpid(), signal.SIGKILL)

sampled, step = generation.sampled, SFTTrainer.training_step

async def counted(*given):
    count("answer")
    return await sampled(*given)

def counted_step(trainer, *given, **named):
    print("step", trainer.state.global_step, flush=True)
    count("step")
    return step(trainer, *given, **named)

generation.sampled, SFTTrainer.training_step = counted, counted_step

def said(request):
    return "ACCEPT" if "You check answers" in request.messages[-1].content else "1200"

settings = OptimaSettings(
    recipe="debate", dataset=str(folder / "questions.jsonl"), profile="tiny", out=folder / "run", iterations=1,
    generation=GenerationSettings(samples=int(sys.argv[4]), concurrency=1),
    trainer=TrainerSettings(max_steps=3, batch_size=2, save_steps=1),
)
server = Access("http://s", transport=transport_of(scripted_trio({"tiny-qwen": said})))
Optima(settings, server).run()
"""


def run(folder: Path, killed_at: str, number: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", COMMAND, str(folder), killed_at, str(number), str(SAMPLES)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("killed_at", "number"), [("answer", 7), ("step", 2)])
def test_a_killed_run_is_resumed_where_it_was(tmp_path: Path, killed_at: str, number: int) -> None:
    rows = [
        {"id": f"q{one}", "skill": "sums", "question": f"What is 1{one}00 + 0?", "answer": "1200"}
        for one in range(QUESTIONS)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = tmp_path / "run" / "iteration-1" / "trajectories.jsonl"

    killed = run(tmp_path, killed_at, number)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    before = answers.read_bytes()
    assert before.count(b"\n") == (number if killed_at == "answer" else QUESTIONS * SAMPLES)

    resumed = run(tmp_path, "nowhere", 0)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert answers.read_bytes().startswith(before)
    assert answers.read_bytes().count(b"\n") == QUESTIONS * SAMPLES
    steps = [line for line in resumed.stdout.splitlines() if line.startswith("step ")]
    assert steps == [f"step {one}" for one in range(number if killed_at == "step" else 0, 3)]
    [one] = read_state(tmp_path / "run").iterations
    assert one.finished
    assert one.steps["train"]["tiny-qwen"]["steps"] == 3

"""The command line: options, their refusals, and the profile of a finished iteration."""

import asyncio
import gc
import json
import os
import signal
from pathlib import Path

import pytest

from deployments.config import load_profile
from evaluation.concurrency import run_all
from training.__main__ import main
from training.arguments import add_optima
from training.settings_of_options import settings_of
from training.state import IterationState, RunState, save_state

NEEDED = ["optima", "--recipe", "debate", "--dataset", "q.jsonl", "--out"]


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    return next(line for line in capsys.readouterr().err.splitlines() if "error: " in line)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--samples", "1"], "argument --samples: must be a whole number from 2 to 1000"),
        (["--iterations", "0"], "argument --iterations: must be a whole number from 1 to 1000"),
        (["--temperature", "0"], "argument --temperature: must be a number above 0, at most 2"),
        (["--keep-share", "1.5"], "argument --keep-share: must be a number above 0, at most 1"),
        (["--lambda-token", "-1"], "argument --lambda-token: must be a number from 0 to 1000"),
        (["--lambda-token", "x"], "argument --lambda-token: must be a number from 0 to 1000"),
        (["--learning-rate", "inf"], "argument --learning-rate: must be a number above 0, at most 1"),
        (["--threshold", "nan"], "argument --threshold: must be a number from -1000 to 1000"),
        (["--models", ","], "argument --models: must be one or more names, separated by commas"),
        (["--url", "localhost:8000"], "argument --url: must be a URL such as http://127.0.0.1:8000"),
        (["--method", "ppo"], "argument --method: 'ppo' is unknown; choose from isft, idpo, hybrid"),
        (["--judge", "tiny-qwen"], "error: Give --task-reward judge and --judge MODEL together, or neither."),
        (["--task-reward", "judge"], "error: Give --task-reward judge and --judge MODEL together, or neither."),
        (
            ["--task-reward", "judge", "--judge", "m", "--run-programs"],
            "error: --run-programs has no effect with --task-reward judge; leave it out.",
        ),
        (["--program-timeout", "3"], "error: --program-timeout has no effect without --run-programs; add it, or"),
        (["--alpha", "1"], "error: --alpha has no effect with --reward optima; leave it out."),
        (
            ["--reward", "weighted", "--lambda-loss", "1"],
            "error: --lambda-loss has no effect with --reward weighted; leave it out.",
        ),
        ([], "error: Cannot read the dataset 'q.jsonl': No such file or directory."),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    try:
        code: object = main([*NEEDED, str(tmp_path / "run"), *options])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert sentence in refusal(capsys)
    assert not (tmp_path / "run").exists()


def test_options_become_settings() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_optima(parser)
    given = ["--recipe", "plan", "--dataset", "d", "--out", "o", "--reward", "weighted", "--alpha", "2", "--gap", "0.3"]
    given += ["--models", "a, b", "--formats", "none", "--lora-rank", "8", "--max-steps", "5", "--lambda-token", "0"]
    options = parser.parse_args(given[:-2])
    settings, access = settings_of(options)
    assert (settings.reward.form, settings.reward.alpha, settings.reward.beta) == ("weighted", 2.0, 0.5)
    assert (settings.pairs.gap, settings.models, settings.formats) == (0.3, ("a", "b"), False)
    assert (settings.trainer.lora_rank, settings.trainer.max_steps) == (8, 5)
    assert access.url is None


def test_sigterm_ends_the_tasks_before_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(0)
            if number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            ended.append(f"work {number}")

    async def whole() -> None:
        try:
            await run_all((1, 2), work, 2)
        finally:
            ended.append("whole")

    monkeypatch.setattr("training.__main__._profile", lambda options: asyncio.run(whole()))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio replaces only this one
    try:
        assert main(["profile", "run"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    gc.collect()  # an exception that no task took is logged then
    assert sorted(ended[:2]) == ["work 1", "work 2"]
    assert ended[2:] == ["whole"]
    assert capsys.readouterr().err == "stopped; run the same command again to resume\n"
    assert caplog.text == ""


def run_of(folder: Path, *finished: bool) -> None:
    iterations = []
    for number, done in enumerate(finished, start=1):
        iterations.append(IterationState(number=number, method="sft", steps={"profile": {}} if done else {}))
        (folder / f"iteration-{number}").mkdir(parents=True)
        (folder / f"iteration-{number}" / "profile.yaml").write_text(f"name: p{number}\n")
    save_state(folder, RunState(run="r", settings={}, iterations=tuple(iterations)))


def test_profile_prints_the_last_finished_iteration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path / "run", True, True, False)
    assert main(["profile", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "iteration-2" / "profile.yaml")
    copy = tmp_path / "made" / "mine.yaml"
    assert main(["profile", str(tmp_path / "run"), "--iteration", "1", "--out", str(copy)]) == 0
    assert copy.read_text() == "name: p1\n"


def test_profile_separate_writes_a_profile_with_further_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    weights = ({"tiny-qwen": "/w/1", "tiny-llama": "/w/1-llama"}, {"tiny-qwen": "/w/2"})
    iterations = tuple(
        IterationState(number=number, method="sft", steps={"profile": {}}, weights=trained)
        for number, trained in enumerate(weights, start=1)
    )
    settings = {"profile": "tiny", "recipe": "plan"}
    save_state(run, RunState(run="abc", settings=settings, iterations=iterations))
    path = run / "iteration-2" / "separate.yaml"
    assert main(["profile", str(run), "--separate"]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    models = load_profile(str(path)).models
    assert [(model.id, model.source) for model in models[3:]] == [
        ("tiny-qwen-plan", "/w/2"),
        ("tiny-llama-plan", "/w/1-llama"),  # of the iteration before: this one did not train it
    ]
    mine = tmp_path / "made" / "mine.yaml"
    assert main(["profile", str(run), "--separate", "--iteration", "1", "--out", str(mine)]) == 0
    assert capsys.readouterr().out == f"{mine}\n"
    assert load_profile(str(mine)).models[3].source == "/w/1"


@pytest.mark.parametrize(
    ("finished", "options", "sentence"),
    [
        ((True,), ["--separate"], "Iteration 1 of '{run}' has no trained weights to separate; leave out --separate"),
        ((True,), ["--separate", "--out", "x.txt"], "--out x.txt must end in .yaml, as a profile does."),
        ((False,), [], "is finished; run 'python -m training optima' again."),
        ((True, False), ["--iteration", "2"], "Iteration 2 of '{run}' is not finished; finished are: 1."),
        ((True,), ["--out", "x.txt"], "--out x.txt must end in .yaml, as a profile does."),
    ],
)
def test_profile_refuses(
    finished: tuple[bool, ...], options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run_of(run, *finished)
    assert main(["profile", str(run), *options]) == 2
    assert sentence.format(run=run) in refusal(capsys)


def test_a_folder_without_a_run_or_with_a_broken_state_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", str(tmp_path)]) == 2
    assert "holds no run; begin one with 'python -m training optima" in refusal(capsys)
    (tmp_path / "state.json").write_text(json.dumps({"run": "r"}))
    assert main(["profile", str(tmp_path)]) == 2
    assert f"{tmp_path}/state.json: " in refusal(capsys)

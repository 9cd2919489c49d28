"""Evaluation of a run's iterations, and the tables of evaluated runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.config import load_profile
from evaluation.arms import from_names
from evaluation.client import Client
from evaluation.datasets.loading import Dataset, load_all
from evaluation.errors import EvaluationError
from evaluation.rows import Row
from evaluation.runner import RunSettings
from evaluation.sandbox import SandboxLimits
from evaluation.store import Appender, read_answers, read_rows
from serving.types import GenerateRequest
from tests.support.dataset_rows import HUMAN_EVAL
from tests.support.training import scripted_trio, transport_of
from training.__main__ import main
from training.measurement import MeasureSettings, measure
from training.state import IterationState, RunState, read_state, save_state
from training.tables import run_tables

ITEMS = 6


def accepting(request: GenerateRequest) -> str:
    return "ACCEPT" if "You check answers" in request.messages[-1].content else "401"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with one finished iteration and one that is not."""
    first = IterationState(
        number=1,
        method="sft",
        steps={
            "generate": {"answers": 80, "mean_task": 0.5, "mean_tokens": 11.25},
            "select": {"examples": {"tiny-qwen": 30, "tiny-llama": 4}},
            "profile": {},
        },
    )
    settings = {"recipe": "debate", "profile": "tiny"}
    state = RunState(run="r", settings=settings, iterations=(first, IterationState(number=2, method="dpo", steps={})))
    save_state(tmp_path / "mine", state)
    return tmp_path / "mine"


@pytest.fixture
def settings() -> MeasureSettings:
    arms = from_names("debate,tiny-qwen")
    return MeasureSettings(arms, load_all(["tiny"], ITEMS, None, None), answers=RunSettings(sampling={"max_tokens": 8}))


class Server:
    """Counts the servers that are started; all are scripted."""

    def __init__(self) -> None:
        self.profiles: list[str] = []
        self.running = 0

    @contextmanager
    def serve(self, profile: str, log: Path) -> Iterator[str]:
        self.profiles.append(profile)
        self.running += 1
        try:
            yield "http://s"
        finally:
            self.running -= 1

    def connect(self, url: str) -> Client:
        assert self.running == 1
        return Client(url, transport=transport_of(scripted_trio({"tiny-qwen": accepting})))


def test_each_iteration_is_served_and_asked_once(run: Path, settings: MeasureSettings) -> None:
    server, lines = Server(), list[str]()
    assert measure(run, settings, serve=server.serve, connect=server.connect, say=lines.append) == 0
    trained = str(run / "iteration-1" / "profile.yaml")
    assert server.profiles == ["tiny", trained]
    assert server.running == 0
    assert lines[1] == f"iteration 0: {2 * ITEMS} requested, 0 failed, 0 kept: {run}/evaluation/0/rows.jsonl"

    # An interrupted evaluation continues; a finished one needs no server.
    rows = run / "evaluation" / "1" / "rows.jsonl"
    whole = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(whole[:3]))
    assert measure(run, settings, serve=server.serve, connect=server.connect, say=lines.append) == 0
    assert server.profiles == ["tiny", trained, trained]
    assert lines[-1] == f"iteration 1: {2 * ITEMS - 3} requested, 0 failed, 3 kept: {rows}"
    assert len(rows.read_bytes().splitlines()) == 2 * ITEMS


@pytest.mark.parametrize("complete", [True, False])
def test_answers_of_other_settings_are_never_mixed(run: Path, settings: MeasureSettings, complete: bool) -> None:
    server = Server()
    measure(run, settings, serve=server.serve, connect=server.connect, say=lambda line: None)
    rows = run / "evaluation" / "1" / "rows.jsonl"
    if not complete:
        rows.write_bytes(rows.read_bytes().partition(b"\n")[0] + b"\n")
    kept, started = rows.read_bytes(), list(server.profiles)
    longer = replace(settings, answers=replace(settings.answers, sampling={"max_tokens": 9}))
    with pytest.raises(EvaluationError, match="holds answers with other settings: setting 'sampling' was "):
        measure(run, longer, serve=server.serve, connect=server.connect)
    assert (rows.read_bytes(), server.profiles) == (kept, started)


def programs(tmp_path: Path) -> list[Dataset]:
    (tmp_path / "code.jsonl").write_text(json.dumps(HUMAN_EVAL) + "\n")
    return load_all([str(tmp_path / "code.jsonl")], None, None, None)


def test_programs_run_only_if_that_is_allowed(run: Path, settings: MeasureSettings, tmp_path: Path) -> None:
    server = Server()
    code = replace(settings, datasets=programs(tmp_path), iterations=(0,))
    with pytest.raises(EvaluationError, match="allow it with --run-programs"):
        measure(run, code, serve=server.serve, connect=server.connect)
    assert server.profiles == []
    allowed = replace(code, answers=replace(code.answers, programs=SandboxLimits()))
    assert measure(run, allowed, serve=server.serve, connect=server.connect, say=lambda line: None) == 0
    assert {row.score for row in read_answers(run / "evaluation" / "0")} == {0.0}
    assert run_tables([run])[0].title == "The trained recipe"


def test_an_unknown_recipe_is_one_sentence(run: Path, settings: MeasureSettings) -> None:
    server = Server()
    one = MeasureSettings(from_names("nope"), settings.datasets, (0,), settings.answers)
    with pytest.raises(EvaluationError, match="The server has no model 'nope'"):
        measure(run, one, serve=server.serve, connect=server.connect)
    assert server.running == 0


def test_the_tables_have_accuracy_and_tokens_before_and_after(run: Path, settings: MeasureSettings) -> None:
    server = Server()
    measure(run, settings, serve=server.serve, connect=server.connect, say=lambda line: None)
    trained, tasks, debates, recipes, equal, training = run_tables([run])
    assert trained.columns == (
        "run",
        "iteration",
        "recipe",
        "questions",
        "accuracy, % [95%]",
        "generated tokens",
        "tokens with prompts",
        "calls",
    )
    texts = [[cell.text for cell in row] for row in trained.rows]
    assert [row[:4] for row in texts] == [["mine", "before", "debate", "6"], ["mine", "1", "debate", "6"]]
    assert [row[4] for row in texts] == ["16.7 [3.0, 56.4]"] * 2  # "401" is right once in six
    assert [row[7] for row in texts] == ["2.00"] * 2  # solver and critic
    assert tasks.columns[2:] == ("tiny/arithmetic", "tiny/words", "tiny/facts")
    assert [[cell.text for cell in row[2:6]] for row in debates.rows] == [["16.7", "100.0", "0.0", "0.0"]] * 2
    assert recipes.columns[2:] == ("debate", "tiny-qwen")
    assert [cell.text for cell in recipes.rows[0]][2].startswith("16.7 / ")
    assert [[cell.text for cell in row] for row in equal.rows] == [["mine", "1", "100.0", "100.0"]]
    assert [[cell.text for cell in row] for row in training.rows] == [
        ["mine", "1", "sft", "80", "50.0", "11.25", "34"],
        ["mine", "2", "dpo", "–", "–", "–", "–"],
    ]


def test_separate_weights_are_served_and_their_answers_compared_with_those_before(
    run: Path, settings: MeasureSettings
) -> None:
    state = read_state(run)
    trained = state.iterations[0].model_copy(update={"weights": {"tiny-qwen": str(run / "w")}})
    save_state(run, state.with_iteration(trained))
    server, lines = Server(), list[str]()
    for one in (replace(settings, iterations=(0,)), replace(settings, separate=True)):
        assert measure(run, one, serve=server.serve, connect=server.connect, say=lines.append) == 0
    path = run / "iteration-1" / "separate.yaml"
    assert server.profiles == ["tiny", str(path)]
    assert [model.id for model in load_profile(str(path)).models][3:] == ["tiny-qwen-debate"]
    rows = run / "evaluation" / "1-separate" / "rows.jsonl"
    assert lines[-1] == f"iteration 1: {2 * ITEMS} requested, 0 failed, 0 kept: {rows}"

    # Of six answers of the debate, one is now another.
    kept = read_rows(rows, Row)
    changed = next(row for row in kept if row.arm == "debate")
    with Appender(rows) as appender:
        appender.append(changed.model_copy(update={"answers": ("402",)}))
    tables = {table.title: table for table in run_tables([run])}
    texts = [[cell.text for cell in row] for row in tables["The trained recipe"].rows]
    assert [row[1] for row in texts] == ["before", "1, separate"]
    equal = tables["Answers that are the same as before the training, %"]
    assert equal.columns == ("run", "iteration", "debate", "tiny-qwen")
    assert [[cell.text for cell in row] for row in equal.rows] == [["mine", "1, separate", "83.3", "100.0"]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table", "{run}"], "No iteration of '{run}' is evaluated; run 'python -m training evaluate {run} --recipes"),
        (["table", "{run}/none"], "'{run}/none' holds no run"),
        (
            ["evaluate", "{run}", "--recipes", "debate", "--iterations", "0,2"],
            "Iteration 2 of '{run}' is not finished;",
        ),
        (
            ["evaluate", "{run}", "--recipes", "debate", "--separate", "--iterations", "0"],
            "Iteration 0 has no trained weights; leave it out with --separate.",
        ),
        (
            ["evaluate", "{run}", "--recipes", "debate", "--separate"],
            "Iteration 1 of '{run}' has no trained weights to separate;",
        ),
        (["evaluate", "{run}", "--recipes", "debate", "--iterations", "x"], "argument --iterations: must be whole"),
        (["evaluate", "{run}", "--recipes", "debate", "--dataset", "none.jsonl"], "Cannot read the dataset"),
    ],
)
def test_wrong_options_are_one_sentence_and_start_no_server(
    run: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main([part.format(run=run) for part in arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert f"error: {sentence.format(run=run)}" in capsys.readouterr().err
    assert not (run / "evaluation").exists()

"""Runs over dataset files: from the row of a file to the score in `rows.jsonl`."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from evaluation.__main__ import main
from evaluation.rescoring import rescored
from evaluation.rows import Row
from evaluation.store import read_answers
from tests.support import dataset_rows as rows


class OneAnswer:
    """A server that gives every question the same answer."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.questions: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "m"}]})
        if request.url.path == "/version":
            return httpx.Response(200, json={})
        self.questions.append(json.loads(request.content)["messages"][-1]["content"])
        return httpx.Response(200, json={"choices": [{"message": {"content": self.text}, "finish_reason": "stop"}]})


class Command:
    """`python -m evaluation run` against a server in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.server = OneAnswer("")

    def run(self, text: str, *given: dict[str, Any], options: tuple[str, ...] = ()) -> int:
        (self.folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
        self.server = OneAnswer(text)
        answering = httpx.MockTransport(self.server).handle_async_request

        async def answered(_: object, request: httpx.Request) -> httpx.Response:
            return await answering(request)

        self.monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answered)
        files = ("--dataset", f"{self.folder}/mine.jsonl", "--out", f"{self.folder}/out")
        return main(["run", "--recipes", "m", *files, *options])

    @property
    def rows(self) -> list[Row]:
        return read_answers(self.folder / "out")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", rows.PUBLISHED)
def test_a_published_row_is_asked_and_scored(name: str, command: Command) -> None:
    row, _, (_, _, answer, _, scorer) = rows.PUBLISHED[name]
    marked = {"boxed": "\\boxed{%s}", "number": "#### %s", "literal": "[ANSWER]%s[/ANSWER]"}.get(scorer, "%s")
    text, options = marked % answer if scorer else "Hello.", ()
    if scorer == "code":
        text, options = row.get("canonical_solution") or row["code"], ("--run-programs",)
    assert command.run(text, row, options=options) == 0
    (found,) = command.rows
    assert (found.score, found.reference) == ((1.0, answer) if scorer else (None, None))


def test_programs_of_models_run_only_if_that_is_allowed(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("    return sum(numbers)", rows.HUMAN_EVAL) == 2
    assert "runs programs that the models write, on this machine (mine): allow it with --run-programs" in (
        capsys.readouterr().err
    )
    assert command.server.questions == []
    assert command.run("1912", {"question": "?", "answer": "Paris"}, options=("--run-programs",)) == 2
    assert "No question is scored by running a program: leave out --run-programs." in capsys.readouterr().err
    assert command.run("1912", {"question": "?", "answer": "Paris"}, options=("--program-timeout", "3")) == 2
    assert "--program-timeout has no effect without --run-programs" in capsys.readouterr().err


def test_programs_have_the_given_limits(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--run-programs", "--program-memory-mb", "200", "--program-timeout", "30")
    large = "    numbers = bytearray(2**28)\n    return 3"
    assert command.run(large, rows.HUMAN_EVAL, options=options) == 0
    assert command.rows[0].score == 0.0
    assert command.run(large, rows.HUMAN_EVAL, options=("--run-programs",)) == 2  # other limits, other scores
    assert "setting 'programs' was" in capsys.readouterr().err


def test_stored_answers_are_scored_again_with_another_scorer(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run("Eva Gamma", rows.TWO_WIKI) == 0
    for options, expected in (((), "0.0"), (("--scorer", "f1"), "66.7"), (("--scorer", "contains"), "100.0")):
        capsys.readouterr()
        assert main(["table", f"{command.folder}/out", *options]) == 0
        assert f"{expected} [" in capsys.readouterr().out
    assert main(["table", f"{command.folder}/out", "--scorer", "f2"]) == 2
    assert "There is no scorer 'f2'" in capsys.readouterr().err
    assert main(["table", f"{command.folder}/out", "--scorer", "code"]) == 2
    assert "The scorer 'code' runs programs" in capsys.readouterr().err


def test_the_score_of_a_program_is_kept(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    code = rows.HUMAN_EVAL["canonical_solution"]
    assert command.run(code, rows.HUMAN_EVAL, options=("--run-programs",)) == 0
    assert main(["table", f"{command.folder}/out", "--scorer", "f1"]) == 2
    assert "No answer can be scored by 'f1': their programs were run" in capsys.readouterr().err

    (row,) = command.rows
    other = row.model_copy(update={"item": "b", "reference": "Lima", "scorer": "exact", "answers": ("in Lima",)})
    assert [one.score for one in rescored([row, other], "contains")] == [1.0, 1.0]
    assert [one.score for one in rescored([row, other], "exact")] == [1.0, 0.0]


def test_another_scorer_cannot_read_programs(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("    return 1", rows.HUMAN_EVAL, options=("--scorer", "f1")) == 2
    assert "are programs, which only the scorer 'code' or one of your own can use" in capsys.readouterr().err
    assert command.server.questions == []


@pytest.mark.parametrize(("answer", "right"), [("River Seine", 1.0), ("The Loire", 0.0)])
def test_every_accepted_answer_is_right(answer: str, right: float, command: Command) -> None:
    assert command.run(answer, rows.TRIVIAQA) == 0
    (row,) = command.rows
    assert (row.score, row.reference, row.accepted) == (right, "Seine", ("River Seine", "La Seine"))


def test_a_scorer_and_a_kind_by_option(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"question": "?", "answer": "1912", "source": "a"}
    options = ("--kind", "qa", "--scorer", "f1")
    assert command.run("in 1912 indeed", row, options=options) == 0
    assert command.rows[0].score == 0.5
    assert "note: " in (said := capsys.readouterr().err)
    assert "the kind 'qa' does not use the fields: source." in said
    assert command.run("in 1912 indeed", row, options=("--kind", "qa")) == 2
    assert "holds answers with other settings" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[ANSWER]{{}}[/ANSWER]", "[ANSWER]{[]: 1}[/ANSWER]", "[ANSWER]" + "(" * 9000])
def test_no_answer_to_a_crux_question_ends_the_run(text: str, command: Command) -> None:
    second = {**rows.CRUX, "id": "sample_1"}
    assert command.run(text, rows.CRUX, second) == 0
    assert [row.score for row in command.rows] == [0.0, 0.0]
    assert command.run(text, rows.CRUX, second) == 0  # and the command can be run again
    assert command.server.questions == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({**rows.ALPACA_EVAL, "output": ["Hello!"]}, "mine.jsonl:2: Set 'output' to a string, not a list."),
        ({**rows.ALPACA_EVAL, "instruction": "\udfff"}, "mine.jsonl:2: Change 'instruction': it has half a character"),
        ({**rows.ALPACA_EVAL, "instruction": None}, "mine.jsonl:2: Set 'instruction' to a string, not null."),
    ],
)
def test_a_wrong_row_is_refused_before_the_first_request(
    wrong: dict[str, Any], sentence: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run("Hi.", rows.ALPACA_EVAL, wrong) == 2
    assert sentence in (said := capsys.readouterr().err)
    assert said.startswith("error: ")
    assert command.server.questions == []
    assert not (command.folder / "out").exists()

"""The command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.__main__ import main
from evaluation.client import Client
from tests.support.rows import TeamServer, question_lines


def test_the_commands_from_questions_to_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = TeamServer()
    monkeypatch.setattr("evaluation.commands._client", lambda options: Client("http://x", transport=server.transport))
    (tmp_path / "questions.jsonl").write_text(question_lines(3))
    out = str(tmp_path / "run")
    asking = ["run", "--recipes", "team,add", "--dataset", str(tmp_path / "questions.jsonl"), "--out", out]
    assert main([*asking, "--temperature", "0", "--limit", "6"]) == 0
    assert "12 requested, 0 failed, 0 kept" in capsys.readouterr().out
    assert main([*asking, "--temperature", "0"]) == 0
    assert "6 requested, 0 failed, 12 kept" in capsys.readouterr().out
    assert main([*asking, "--temperature", "1"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert main(["judge", out, "--judge", "judge", "--baseline", "add"]) == 0
    assert main(["judge", out, "--judge", "judge", "--grade"]) == 0
    assert main(["report", out, "--out", str(tmp_path / "q.html"), "--budget-latency", "60"]) == 0
    page = (tmp_path / "q.html").read_text()
    assert "Win rate against add, judged by judge" in page
    assert "Ratings from 1 to 10" in page


def test_asking_waits_for_no_library_of_the_analyses() -> None:
    heavy = "{'scipy', 'sklearn', 'plotly', 'sacrebleu'} & set(sys.modules)"
    script = f"import sys, evaluation.__main__; sys.exit(str({heavy}) if {heavy} else 0)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_errors_are_one_sentence_and_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: No answers in")
    assert main(["run", "--dataset", f"{tmp_path}/none", "--out", str(tmp_path), "--recipes", "a"]) == 2
    assert "Cannot read the dataset" in capsys.readouterr().err


class Commands:
    """The command line against a server in this process, on a run of three items by `team` and `add`."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.out, self.path = TeamServer(), str(tmp_path / "run"), tmp_path
        (tmp_path / "questions.jsonl").write_text(question_lines(1))
        monkeypatch.setattr(
            "evaluation.commands._client",
            lambda options: Client("http://x", transport=self.server.transport, retries=0),
        )

    def run(self, *more: str) -> int:
        data = str(self.path / "questions.jsonl")
        return main(["run", "--recipes", "team,add", "--dataset", data, "--out", self.out, *more])


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)


def test_failed_answers_are_exit_code_one_with_distinct_reasons(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.server.refuse_after = 2
    assert commands.run("--concurrency", "1") == 1
    said = capsys.readouterr()
    assert "6 requested, 4 failed, 0 kept" in said.out
    assert "reasons:\n  4 × 503: no replica is ready\n" in said.err
    commands.server.refuse_after = None
    assert commands.run() == 0


def test_many_failures_are_exit_code_two_with_their_reasons(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.server.refuse_after = 0
    assert commands.run("--samples", "5", "--concurrency", "1") == 2
    said = capsys.readouterr().err
    assert "  20 × 503: no replica is ready\n" in said
    assert "error: 20 consecutive answers failed" in said


def test_an_unserved_judge_is_exit_code_two(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.run()
    assert main(["judge", commands.out, "--judge", "nobody", "--baseline", "add"]) == 2
    assert "The server has no model 'nobody'" in capsys.readouterr().err
    assert not (Path(commands.out) / "comparisons.jsonl").exists()


def test_failed_verdicts_are_exit_code_one(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.run()
    commands.server.refuse_after = len(commands.server.bodies) + 2
    assert main(["judge", commands.out, "--judge", "judge", "--grade", "--concurrency", "1"]) == 1
    said = capsys.readouterr()
    assert "6 requested, 5 failed, 0 kept, 0 cannot be read" in said.out
    assert "  5 × 503: no replica is ready" in said.err


def test_a_judge_that_is_not_understood_is_exit_code_one(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.run()
    for counts in (
        "6 requested, 0 failed, 0 kept, 6 cannot be read",
        "0 requested, 0 failed, 6 kept, 6 cannot be read",
    ):
        assert main(["judge", commands.out, "--judge", "spell", "--grade"]) == 1
        said = capsys.readouterr()
        assert counts in said.out
        assert "no verdict of 'spell' can be read; name another judge" in said.err


def test_models_without_a_price_are_named(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.run()
    (commands.path / "prices.yaml").write_text("usd_per_million_tokens: {add: {prompt_usd: 10, completion_usd: 10}}")
    capsys.readouterr()
    assert main(["table", commands.out, "--prices", str(commands.path / "prices.yaml")]) == 0
    said = capsys.readouterr()
    assert said.err == "no price for spell, know: the cost of their answers is unknown\n"
    assert "| calls | tokens | US$ per 1,000 answers |" in said.out
    team, add = [line for line in said.out.splitlines() if line.startswith("| `")]
    assert (team.split("|")[-2].strip(), add.split("|")[-2].strip()) == ("–", "0.12")


def test_operations_of_a_profile(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.run()
    capsys.readouterr()
    assert main(["table", commands.out, "--profile", "tiny"]) == 0
    said = capsys.readouterr()
    assert "TFLOPs" not in said.out  # its models are others
    assert said.err == "'tiny' gives no size of add, spell, know: the operations of their answers are unknown\n"
    assert main(["table", commands.out, "--profile", "nosuch"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("command", [["report"], ["table"]])
def test_a_run_without_its_manifest_or_a_path_that_cannot_be_written_is_one_sentence(
    commands: Commands, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    commands.run()
    (Path(commands.out) / "run.json").unlink()
    (commands.path / "file").write_text("")
    out = ["--out", str(commands.path / "file" / "q.html")] if command == ["report"] else []
    assert main([*command, commands.out, *out]) == 2
    assert capsys.readouterr().err.count("error: ") == 1


def test_an_arm_s_own_seed_and_a_seed_for_all_do_not_go_together(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    (commands.path / "arms.yaml").write_text("arms: [{name: x, model: add, sampling: {seed: 1}}]")
    assert commands.run("--arms", str(commands.path / "arms.yaml"), "--seed", "3") == 2
    assert "Arm 'x' has a seed of its own" in capsys.readouterr().err


def test_the_help_has_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"\n  {code} " in said for code in ("0", "1", "2", "130"))

"""The command line that all commands share: help with defaults, errors in one sentence, suggestions."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from serving.command_line import CommandLine, above, at_least
from tests.support.paths import ROOT


def parser() -> CommandLine:
    made = CommandLine(prog="python -m x", description="First line.\n\n  kept as it is")
    made.add_argument("--dataset", required=True, help="what to read")
    made.add_argument("--limit", type=at_least(1, int), default=8, help="how many")
    made.add_argument("--kind", choices=("cpu", "gpu"), default="cpu", help="which")
    made.add_argument("--out", help="where to")
    made.add_argument("--said", default=3, help="default: three")
    return made


def refused(made: CommandLine, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        made.parse_args(words)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second = printed.err.splitlines()
    assert second == f"`{made.prog} --help` lists all arguments."
    return first


def test_help_has_every_default_once() -> None:
    text = " ".join(parser().format_help().split())
    assert "how many (default: 8)" in text
    assert "which (default: cpu)" in text
    assert "default: three" in text
    assert "default: 3" not in text
    assert "where to" in text
    assert "None" not in text
    assert "\n  kept as it is" in parser().format_help()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--datset", "a"], "error: there is no option '--datset'; did you mean '--dataset'?"),
        (["--datset=a"], "error: there is no option '--datset'; did you mean '--dataset'?"),
        (["--dataset", "a", "--xyzzy"], "error: there is no option '--xyzzy'."),
        (["--dataset", "a", "-q"], "error: there is no option '-q'."),
        (["--dataset", "a", "b"], "error: there is no argument 'b' here."),
        ([], "error: the following arguments are required: --dataset."),
        (
            ["--dataset", "a", "--kind", "gppu"],
            "error: argument --kind: 'gppu' is unknown; did you mean 'gpu'? choose from cpu, gpu.",
        ),
        (["--dataset", "a", "--kind", "x"], "error: argument --kind: 'x' is unknown; choose from cpu, gpu."),
        (["--dataset", "a", "--limit", "0"], "error: argument --limit: must be a whole number of at least 1, not '0'."),
        (
            ["--dataset", "a", "--limit", "2.5"],
            "error: argument --limit: must be a whole number of at least 1, not '2.5'.",
        ),
    ],
)
def test_a_wrong_word_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(parser(), words, capsys) == sentence


def test_abbreviations_and_values_like_options_are_parsed() -> None:
    given = parser().parse_args(["--dat", "a", "--lim=3", "--out=--x"])
    assert (given.dataset, given.limit, given.out) == ("a", 3, "--x")


def test_words_behind_a_command_are_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    made = CommandLine(prog="python -m x")
    commands = made.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("--limit", type=int, default=1)
    run.set_defaults(command="run")
    assert made.parse_args(["run", "--limit", "3"]) == argparse.Namespace(limit=3, command="run")
    with pytest.raises(SystemExit):
        made.parse_args(["run", "--limt", "3"])
    assert capsys.readouterr().err.startswith(
        "error: there is no option '--limt'; did you mean '--limit'?\n`python -m x run"
    )
    for words in (["rnu"], ["rnu", "--limit", "3"], ["rnu", "--limt=3"]):
        assert refused(made, words, capsys).endswith("'rnu' is unknown; did you mean 'run'? choose from run.")
    assert refused(made, ["--limit", "3", "run"], capsys) == "error: there is no option '--limit'."


@pytest.mark.parametrize(("text", "valid"), [("1", True), ("65535", True), ("0", False), ("65536", False), ("", False)])
def test_a_number_has_bounds(text: str, valid: bool) -> None:
    port = at_least(1, int, 65535)
    if valid:
        assert port(text) == int(text)
        return
    with pytest.raises(argparse.ArgumentTypeError, match=f"a whole number from 1 to 65535, not '{text}'"):
        port(text)


@pytest.mark.parametrize("text", ["nan", "-inf", "inf", "-1", ""])
def test_no_number_is_below_its_bound_by_a_trick(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a number of at least 0"):
        at_least(0)(text)


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        (at_least(1, int), "a whole number of at least 1"),
        (above(0), "a number above 0"),
        (above(0, 1), "a number above 0, at most 1"),
        (at_least(0, high=1), "a number from 0 to 1"),
    ],
)
def test_a_refusal_names_the_bounds(kind: Callable[[str], float], bounds: str) -> None:
    assert kind("1") == 1
    with pytest.raises(argparse.ArgumentTypeError, match=f"must be {bounds}, not '-1'"):
        kind("-1")


@pytest.mark.parametrize(
    ("ending", "code", "printed"),
    [("KeyboardInterrupt", -signal.SIGINT, "Stopped.\n"), ("ValueError('x')", 1, "ValueError: x\n")],
)
def test_ctrl_c_ends_a_command_without_a_traceback(ending: str, code: int, printed: str) -> None:
    program = f"from serving.command_line import CommandLine; CommandLine(prog='x').parse_args(); raise {ending}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == code
    assert done.stderr.endswith(printed)
    assert ("Traceback" in done.stderr) == (code == 1)

"""Every `python -m ...` of the repository: its help, at once and complete, and its refusal of unknown options."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ("deployments", "evaluation", "loadtest", "models", "scripts", "serving", "tests/support", "training")
# The first is started by its path, alone, with a program on its standard input; the second by tests.
NO_COMMANDS = ("evaluation.sandbox_child", "tests.support.batch_server")
HEAVY = ("ray", "torch", "vllm", "transformers", "xgrammar", "locust")
# Commands that are named otherwise in their own help: they are run by their file, or by another command.
PROGRAMS = {
    "scripts.install": "python3.11 scripts/install.py",
    "scripts.images": "python3.11 -m scripts.images",
    "scripts.render_manifests": "scripts/render_manifests.py",
    "deployments.demo": "python -m serving.demo",
    "deployments.keys": "python -m serving.keys",
    "deployments.replay": "python -m serving.replay",
    "deployments.report": "python -m serving.report",
}
# Runs a command as `python -m` does, and reports on stderr how it ended, what it imported, and arguments without help.
RUN = f"""
import argparse, json, runpy, sys
made, original = [], argparse.ArgumentParser.__init__

def noted(self, *given, **named):
    original(self, *given, **named)
    made.append(self)

argparse.ArgumentParser.__init__ = noted
name, *sys.argv[1:] = sys.argv[1:]
code = None
try:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
except SystemExit as ended:
    code = ended.code
bare = [
    action.dest
    for parser in made
    for action in parser._actions
    if not isinstance(action, argparse._SubParsersAction)
    and action.help is not argparse.SUPPRESS
    and not (parser._get_formatter()._expand_help(action).strip() if action.help else "")
    or isinstance(action, argparse._SubParsersAction) and len(action._choices_actions) < len(set(action.choices))
]
silent = [
    action.dest
    for parser in made
    for action in parser._actions
    if action.option_strings and action.default not in (None, False, "", argparse.SUPPRESS)
    and "default" not in parser._get_formatter()._expand_help(action)
]
heavy = sorted(set({HEAVY!r}) & set(sys.modules))
print("REPORT", json.dumps([code, heavy, bare, silent]), file=sys.stderr)
"""


def commands() -> list[str]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if re.search(r"^if __name__ == .__main__.:", path.read_text(), re.MULTILINE):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found.append(name.removesuffix(".__main__"))
    return [name for name in found if name not in NO_COMMANDS]


def run(name: str, *words: str) -> tuple[list[object], str, str]:
    """Report of `RUN`, and the output of the command on stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, name, *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
        timeout=300,
    )
    said, _, report = done.stderr.rpartition("REPORT ")
    assert report, done.stderr
    return json.loads(report), done.stdout, said


def test_all_commands_are_found() -> None:
    found = commands()
    assert {"deployments.start", "deployments.plan", "evaluation", "loadtest.scale", "models.smol"} <= set(found)
    assert len(found) >= 28


@pytest.mark.parametrize("name", commands())
def test_help_names_the_command_and_imports_nothing_heavy(name: str) -> None:
    report, printed, said = run(name, "--help")
    assert report == [0, [], [], []] or report == [None, [], [], []], said
    assert printed.startswith(f"usage: {PROGRAMS.get(name, f'python -m {name}')} ")
    assert len(printed.splitlines()) > 2, "a description"


SUBCOMMANDS = [
    ("evaluation", "run"),
    ("evaluation", "judge"),
    ("evaluation", "report"),
    ("loadtest", "run"),
    ("serving.keys", "create"),
]


@pytest.mark.parametrize(("name", "command"), SUBCOMMANDS)
def test_help_of_a_subcommand_names_it(name: str, command: str) -> None:
    report, printed, said = run(name, command, "--help")
    assert report[:2] == [0, []], said
    assert printed.startswith(f"usage: python -m {name} {command} ")


# Those whose arguments are another program's, or not options.
FREE = ("deployments.cluster.haproxy", "deployments.start", "loadtest.torture.fuzz_coverage")


@pytest.mark.parametrize("name", [name for name in commands() if name not in FREE])
def test_an_unknown_option_ends_the_command_before_it_does_anything(name: str) -> None:
    report, printed, said = run(name, "--halp")
    assert report[:2] == [2, []], said
    assert printed == ""
    assert "--halp" in said
    assert "Traceback" not in said
    if "argparse.ArgumentParser(" not in source_of(name):
        assert "did you mean '--help'?" in said


def source_of(name: str) -> str:
    path = ROOT / Path(*name.split("."))
    return (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text()

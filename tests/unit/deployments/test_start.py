"""Arguments and errors of the start command, and the version that the server reports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import ray
import yaml

from deployments import moa_app
from deployments.config import PROFILES, AppArgs
from deployments.start import main, parse
from tests.support.paths import ROOT


def test_words_are_parsed_as_arguments() -> None:
    given = parse(["profile=large", "port=8080", "dashboard=true"])
    assert (given.profile, given.port, given.dashboard) == ("large", 8080, True)


@pytest.mark.parametrize("word", ["prt=8", "port=no", "port=0", "8080"])
def test_a_wrong_word_ends_before_anything_is_started(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert word.split("=")[0] in line


def test_an_option_that_vllm_does_not_know_ends_serve_run_before_a_cluster_is_started(tmp_path: Path) -> None:
    profile = yaml.safe_load((PROFILES / "tiny.yaml").read_text())
    profile["models"][0]["engine_kwargs"]["max_num_seq"] = 8
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(profile))
    with pytest.raises(click.ClickException, match="write max_num_seqs") as caught:
        moa_app(AppArgs(profile=str(tmp_path / "own.yaml")))
    assert caught.value.exit_code == 1
    assert not ray.is_initialized()


def test_help_lists_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {key} " in printed for key in AppArgs.model_fields)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [("prot=8080", "There is no key 'prot'; choose one of profile, host, port"), ("profile=nope", "no profile 'nope'")],
)
def test_a_wrong_key_or_profile_is_refused_before_the_server_starts(
    capsys: pytest.CaptureFixture[str], word: str, sentence: str
) -> None:
    assert main([word]) == 1
    printed = capsys.readouterr().err
    assert sentence in printed
    assert "Starting" not in printed


# In place of Ray's `serve`: says how it ends, and does what it says on the way only if it is not interrupted again.
SERVE = """#!{python}
import sys, time
from deployments.cluster.interrupts import interrupt_once
interrupt_once()
try:
    print("running", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("stopping", flush=True)
    time.sleep(0.2)
    print("stopped", flush=True)
"""
START = "import sys; sys.executable = sys.argv[1]; from deployments.start import main; sys.exit(main([]))"


@pytest.mark.parametrize(
    ("number", "group"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)], ids=str
)
def test_each_signal_stops_the_server_once(number: signal.Signals, group: bool, tmp_path: Path) -> None:
    serve = tmp_path / "serve"
    serve.write_text(SERVE.format(python=sys.executable))
    serve.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", START, str(tmp_path / "python")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            (os.killpg if group else os.kill)(process.pid, number)
            said, errors = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, said) == (0, "stopping\nstopped\n"), errors
    assert "Traceback" not in errors

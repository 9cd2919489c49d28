"""Arguments and errors of the start command, and the version that the server reports."""

import inspect
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
import ray
import yaml

from deployments import moa_app
from deployments.arguments import ServeArgs
from deployments.cluster import preflight
from deployments.config import PROFILES, AppArgs
from deployments.start import main, parse
from serving.ports import free_port
from tests.support.paths import ROOT


def test_words_are_parsed_as_arguments() -> None:
    given = parse(["profile=large", "port=8080", "dashboard=true"])
    assert (given.profile, given.port, given.dashboard) == ("large", 8080, True)
    assert parse(["host=0.0.0.0", "host=127.0.0.1"]).host == "127.0.0.1", "the images' own can be replaced"


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
    assert "(default: 8000)" in printed
    assert "(default: false)" in printed
    assert printed.count("  autoscaling ") == printed.count("Default: true on Kubernetes.\n") == 1
    assert "none" not in printed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["prot=8080"], "There is no key 'prot'; did you mean 'port'? choose one of profile, host, port, dashboard"),
        (["--port=8080"], "There is no key '--port'; did you mean 'port'? choose one of"),
        (["xyzzy=1"], "There is no key 'xyzzy'; choose one of profile"),
        (["--port", "8080"], "Write '--port' as key=value, for example port=VALUE."),
        (["smol"], "Write 'smol' as key=value, for example profile=smol."),
        (["smoll"], "Write 'smoll' as key=value, for example profile=smol."),
        (["mine.yaml"], "Write 'mine.yaml' as key=value, for example profile=mine.yaml."),
        (["8080"], "Write '8080' as key=value, for example port=8080."),
        (["profile", "tiny"], "Write 'profile' as key=value, for example profile=VALUE."),
        (["xyzzy"], "Write 'xyzzy' as key=value, for example port=8080."),
        (["profile=tny"], "There is no profile 'tny'; did you mean 'tiny'? choose one of endpoints"),
        (["profile=nope"], "There is no profile 'nope'; choose one of"),
        (["dashboard=maybe"], "Set 'dashboard' to true or false"),
        (["profile=large"], "The profile 'large' needs 6 GPUs, but this machine has 0"),
        (["host=192.0.2.1"], "'192.0.2.1' is no address of this machine"),
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_said_in_one_line_before_the_server_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.setattr(preflight, "local_gpus", lambda: 0)
    assert main(words) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Error: {sentence}")


HEAVY = """
import sys
from deployments.cluster import preflight
from deployments.start import main
preflight.available_memory_gib = lambda: float(sys.argv[1])
preflight.local_gpus = lambda: 0
code = main(sys.argv[2:])
print(code, sorted({"ray", "vllm", "torch", "transformers"} & set(sys.modules)))
"""


@pytest.mark.parametrize("reason", ["port", "metrics", "profile", "memory", "weights", "gpus"])
def test_a_start_is_refused_before_anything_heavy_is_imported(reason: str, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, free = other.getsockname()[1], free_port()
        profile = yaml.safe_load((PROFILES / "tiny.yaml").read_text())
        profile["models"][0]["source"] = "models/tiny/weights/tiny-quen"
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(profile))
        words, sentence = {
            "port": ([f"port={taken}"], f"Port {taken} on 127.0.0.1 cannot be used (Address already in use); stop the"),
            "metrics": ([f"port={free}"], f"Port {taken} of HAProxy's metrics on 127.0.0.1 cannot be used"),
            "profile": (["profile=tiney"], "There is no profile 'tiney'; did you mean 'tiny'?"),
            "memory": ([f"port={free}"], "The profile 'tiny' needs 7 GiB of memory, but only 1.0 GiB are available"),
            "weights": (
                [f"profile={tmp_path}/own.yaml"],
                "The folder 'models/tiny/weights/tiny-quen' with",
            ),
            "gpus": ([f"port={free}", "profile=lite"], "The profile 'lite' needs 3 GPUs, but this machine has 0"),
        }[reason]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("RAY_ADDRESS", None)
        if reason == "metrics":
            environment["RAY_SERVE_HAPROXY_METRICS_PORT"] = str(taken)
        done = subprocess.run(
            [sys.executable, "-c", HEAVY, "1" if reason == "memory" else "64", *words],
            capture_output=True, text=True, env=environment, timeout=120,
        )  # fmt: skip
    assert done.stdout == "1 []\n", done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: {sentence}")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"prot": "8080"}, "There is no key 'prot'; did you mean 'port'? choose one of"),
        ({"port": "many"}, "Set 'port' to an integer"),
    ],
)
def test_serve_run_refuses_wrong_arguments_with_a_sentence(given: dict[str, str], sentence: str) -> None:
    """As Ray does: it makes the arguments of `moa_app` from what it reads."""
    assert inspect.signature(moa_app).parameters["args"].annotation is ServeArgs
    with pytest.raises(click.ClickException) as caught:
        ServeArgs.model_validate(given)
    assert str(caught.value).startswith(sentence)


def test_serve_run_gets_its_arguments() -> None:
    given = ServeArgs.model_validate({"port": "8080", "logs": "true"})
    assert (given.port, given.logs, given.profile, given.host) == (8080, True, "", "127.0.0.1")


# In place of Ray's `serve`: prints as libraries do, and says on the terminal how it ends, if it is interrupted once.
SERVE = """#!{python}
import os, subprocess, sys, time
from deployments.cluster.interrupts import interrupt_once
from deployments.cluster.terminal import VARIABLE, claim_terminal, say
claim_terminal()
assert VARIABLE not in os.environ
interrupt_once()
print("2026-11-29 17:53:25,700\\tWARNING token.py:85 -- Token authentication is enabled.", file=sys.stderr, flush=True)
print("INFO 2026-11-29 17:53:35,132 serve 1 -- Started Serve.", flush=True)
{extra}
try:
    say("running")
    time.sleep(60)
except KeyboardInterrupt:
    print("ERROR 2026-11-29 17:53:35,132 serve 1 -- complaint of a stop", flush=True)
    time.sleep(0.2)
    say("stopped")
"""
START = """
import sys
sys.executable = sys.argv[1]
from deployments import start
start.check_start = lambda *given, **named: None
sys.exit(start.main(sys.argv[2:]))
"""


def start_fake(folder: Path, *words: str, extra: str = "") -> "subprocess.Popen[str]":
    """`deployments.start` with `SERVE` in place of Ray's program, and its log in `folder`."""
    serve = folder / "serve"
    serve.write_text(SERVE.format(python=sys.executable, extra=extra))
    serve.chmod(0o755)
    return subprocess.Popen(
        [sys.executable, "-c", START, str(folder / "python"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(folder)},
        start_new_session=True,
    )


def log_of(folder: Path) -> Path:
    [log] = folder.glob("moa-logs-*/server-*.log")
    return log


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGHUP, False), (signal.SIGINT, True)],
    ids=str,
)
def test_each_signal_stops_the_server_once(number: signal.Signals, group: bool, tmp_path: Path) -> None:
    with start_fake(tmp_path) as process:
        try:
            lines = [process.stderr.readline() for _ in range(2)]
            assert lines == [f"Starting the server; its log is {log_of(tmp_path)} ...\n", "running\n"]
            (os.killpg if group else os.kill)(process.pid, number)
            said, errors = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, said) == (0, ""), errors
    assert errors == "Stopping ...\nstopped\nStopped.\n", "nothing of others, and no complaint of a stop"
    logged = log_of(tmp_path).read_text()
    assert all(text in logged for text in ("Token authentication", "Started Serve", "complaint of a stop"))


def test_errors_of_the_server_are_shown_while_it_runs(tmp_path: Path) -> None:
    error = "ERROR 2026-11-29 17:53:35,132 serve 1 -- The engine of 'x' failed."
    with start_fake(tmp_path, extra=f"print({error!r}, flush=True)") as process:
        try:
            lines = {process.stderr.readline() for _ in range(3)}
            assert f"{error}\n" in lines
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("extra", "shown", "code"),
    [
        ("sys.exit('Error: The cluster has no GPU.')", ["Error: The cluster has no GPU."], 1),
        ("raise RuntimeError('lost')", ["Traceback (most recent call last):", "RuntimeError: lost"], 1),
        ("print('the last words', flush=True); os._exit(3)", ["the last words"], 3),
        ("os._exit(0)", ["Started Serve."], 1),  # it should have run on
    ],
)
def test_a_server_that_ends_by_itself_is_an_error_with_its_reason(
    extra: str, shown: list[str], code: int, tmp_path: Path
) -> None:
    with start_fake(tmp_path, extra=extra) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert all(text in errors for text in shown)
    assert errors.endswith(f"The server has ended by itself; its log is {log_of(tmp_path)}.\n")


def test_all_logs_are_shown_if_they_are_asked_for(tmp_path: Path) -> None:
    with start_fake(tmp_path, "logs=true", extra="os._exit(3)") as process:
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "Started Serve" in out
    assert "Token authentication" in errors
    assert list(tmp_path.glob("moa-logs-*")) == []


def test_without_a_place_for_the_log_everything_is_shown(tmp_path: Path) -> None:
    (tmp_path / f"moa-logs-{os.getuid()}").touch()
    with start_fake(tmp_path, extra="os._exit(3)") as process:
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "The server's log cannot be written" in errors
    assert "Started Serve" in out


def test_the_server_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    with start_fake(tmp_path) as process:
        assert [process.stderr.readline() for _ in range(2)][1] == "running\n"
        process.kill()
        assert process.stderr.readline() == "stopped\n"


def test_a_closed_terminal_stops_the_server(tmp_path: Path) -> None:
    """Its lines can no longer be written, which ends neither the server's threads nor its stop."""
    with start_fake(tmp_path, extra="import atexit; atexit.register(say, 'gone')") as process:
        assert [process.stderr.readline() for _ in range(2)][1] == "running\n"
        process.stderr.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=120) == 0
    assert "Traceback" not in log_of(tmp_path).read_text()


def test_a_server_without_a_hangup_goes_on_without_its_terminal(tmp_path: Path) -> None:
    """Started by `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start_fake(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        assert [process.stderr.readline() for _ in range(2)][1] == "running\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline() == "Stopping ...\n"
        assert process.wait(timeout=120) == 0

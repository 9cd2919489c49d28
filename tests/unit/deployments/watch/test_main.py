"""`python -m deployments.watch`: a real Prometheus with the chart's rules and dashboards, and the end of all of it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.watch.__main__ import NO_GRAFANA, main, parser
from deployments.watch.dashboards import dashboards
from serving.ports import free_port
from tests.support.metrics_page import serving
from tests.support.paths import ROOT

START_S = 60
GRAFANA = """#!{python}
import json, os, pathlib, signal, sys
settings = {{name: value for name, value in os.environ.items() if name.startswith("GF_")}}
pathlib.Path("{folder}", "started.json").write_text(json.dumps([sys.argv[1:], settings]))
{then}
"""


def install_grafana(home: Path, then: str) -> str:
    """Write a Grafana that records its start in the folder around `home`, then runs `then`. Returns a PATH with it."""
    for folder in ("conf", "bin"):
        (home / folder).mkdir(parents=True)
    (home / "conf" / "defaults.ini").touch()
    program = home / "bin" / "grafana"
    program.write_text(GRAFANA.format(python=sys.executable, folder=home.parent, then=then))
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


@contextmanager
def watching(
    url: str, folder: Path, *options: str, path: str | None = None
) -> Iterator[tuple[Any, list[str], int, int]]:
    """The command, its lines until the last of its addresses, and its ports of Prometheus and of the page."""
    port, page_port = free_port(), free_port()
    ports = ["--port", str(port), "--page-port", str(page_port)]
    command = [sys.executable, "-m", "deployments.watch", "--url", url, *ports, "--folder", str(folder), *options]
    environment = {**os.environ, "PATH": path or os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith("Ctrl-C"):
                    break
            yield process, lines, port, page_port
        finally:
            process.terminate()  # not kill: Prometheus would stay
            try:
                process.wait(START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def soon(found: Callable[[], Any]) -> Any:
    """The first true value of `found`; the last one after `START_S`."""
    ends_at = time.monotonic() + START_S
    while not (value := found()) and time.monotonic() < ends_at:
        time.sleep(0.2)
    return value


def processes_with(text: str) -> list[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if text in line and not line.startswith("ps ")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_prometheus_reads_the_server_and_all_ends_with_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    with serving() as url, watching(url, tmp_path / "kept") as (process, lines, port, page_port):
        assert lines == [
            f"Metrics: {url}/metrics",
            f"Dashboards: http://127.0.0.1:{page_port}",
            f"Prometheus: http://127.0.0.1:{port}, its alerts: http://127.0.0.1:{port}/alerts",
            NO_GRAFANA,
            "Ctrl-C ends all of them.",
        ]
        api = f"http://127.0.0.1:{page_port}/api/v1"
        query = {"query": 'ray_moa_requests_running{namespace="moa"}'}
        assert soon(lambda: httpx.get(f"{api}/query", params=query).json()["data"]["result"])
        rules = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules").json()["data"]["groups"]
        assert {"MoaErrorsFast", "MoaOverBudget"} <= {rule["name"] for group in rules for rule in group["rules"]}
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    assert processes_with(str(tmp_path)) == []
    for freed in (port, page_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", freed))


def test_prometheus_answers_the_query_of_every_panel(tmp_path: Path) -> None:
    """With values, if a metric that the server itself has is enough for them."""
    empty = set()
    with serving() as url, watching(url, tmp_path, "--budget", "300") as (_, _, _, page_port):
        api = f"http://127.0.0.1:{page_port}/api/v1/query"

        def ask(expression: str) -> Any:
            answer = httpx.get(api, params={"query": expression}, timeout=30).json()
            assert answer["status"] == "success", (expression, answer)
            return answer["data"]["result"]

        assert soon(lambda: ask("moa:estimated_cost:usd_per_hour") and ask("moa:request_errors:ratio_rate5m"))
        for name, board in dashboards().items():
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    expression = target["expr"].replace("$__rate_interval", "1m")
                    if not ask(re.sub(r"\$\w+", ".*", expression)):
                        empty.add((name, panel["title"]))
    later = {"Cost a day", "Cost a month"}  # the first quarter of an hour, and the budget, which is recorded with them
    missing = {
        ("agents", "Stragglers by model"),
        ("agents", "Not ok, by model and role"),
        ("agents", "Lost calls by model"),
        ("overview", "Lost calls by model"),
        ("requests", "Prompts refused by key"),
        ("requests", "Response cache: share of hits"),
        ("agents", "Quality and stragglers by recipe"),
        ("engines", "GPUs by pool"),
        ("engines", "Estimated cost of 1,000 answers"),
        ("engines", "Interruptions"),
    }
    assert {one for one in empty if one[1] not in later} - missing == set()


def test_grafana_is_started_with_it_where_it_is_installed(tmp_path: Path) -> None:
    home = tmp_path / "grafana"
    port, path = free_port(), install_grafana(home, "signal.pause()")
    with (
        serving() as url,
        watching(url, tmp_path / "kept", "--grafana-port", str(port), path=path) as (process, lines, prometheus, _),
    ):
        assert f"Grafana: http://127.0.0.1:{port}" in lines
        started = tmp_path / "started.json"
        assert soon(lambda: started.exists() and started.read_text())
        arguments, settings = json.loads(started.read_text())
        assert arguments == ["server", "--homepath", str(home)]
        assert settings["GF_SERVER_HTTP_PORT"] == str(port)
        source = Path(settings["GF_PATHS_PROVISIONING"]) / "datasources" / "moa.yaml"
        assert f"url: http://127.0.0.1:{prometheus}" in source.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert processes_with(str(home)) == []


def test_a_program_that_ends_is_said_with_its_last_words_and_the_others_end_too(tmp_path: Path) -> None:
    home = tmp_path / "grafana"
    path = install_grafana(home, "print('the database is locked', flush=True); sys.exit(3)")
    options = ("--grafana-port", str(free_port()))
    with serving() as url, watching(url, tmp_path / "kept", *options, path=path) as (process, _, _, _):
        assert process.wait(30) == 1
        [line] = process.stderr.read().splitlines()
    assert line.startswith("Error: Grafana ended with status 3: the database is locked (")
    assert processes_with(str(tmp_path / "kept")) == []


def test_a_server_that_does_not_run_yet_is_waited_for(tmp_path: Path) -> None:
    with watching(f"http://127.0.0.1:{free_port()}", tmp_path) as (process, lines, _, _):
        assert lines[0].endswith("/metrics (no answer yet; start the server with: make serve)")
        assert process.poll() is None


def test_a_server_without_metrics_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        with serving(404, "application/json") as url:
            assert main(["--url", url, "--folder", str(tmp_path)]) == 1
    finally:
        signal.signal(signal.SIGINT, kept[0])
        signal.signal(signal.SIGTERM, kept[1])
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert "set api.metrics to true" in line


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--budget", "0"], "'0' is no amount; write a number above 0"),
        (["--budget", "nan"], "'nan' is no amount"),
        (["--gpu-hour-usd", "-1"], "'-1' is no amount"),
        (["--budget", "much"], "'much' is no amount"),
        (["--port", "0"], "must be a whole number from 1 to 65535, not '0'"),
        (["--page-port", "65536"], "must be a whole number from 1 to 65535, not '65536'"),
        (["--grafana-port", "x"], "must be a whole number from 1 to 65535, not 'x'"),
    ],
)
def test_wrong_values_are_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_help_names_every_option_and_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['watch', '--help']\nfrom deployments.watch.__main__ import main\n" + (
        "try: main()\nfinally: print([name for name in ('ray', 'torch', 'vllm', 'plotly') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0
    assert run.stdout.endswith("[]\n")
    for option in ("--url", "--port", "--page-port", "--grafana-port", "--budget", "--gpu-hour-usd", "--folder"):
        assert f"  {option} " in run.stdout
    assert "None" not in run.stdout

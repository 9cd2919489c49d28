"""Locust's own command line, and the open loop, against a scripted server. Each in a process of its own, since
Locust patches the standard library on import."""

import asyncio
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from loadtest.errors import LoadError
from loadtest.target import find_target
from serving.engines.scripted import ScriptedEngine
from tests.support.api import app_of, running

LOCUST = ("-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "-t", "3", "--think-s", "0", "--only-summary")


async def ran(*command: str) -> tuple[int | None, str]:
    """Its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--slo", "e2e_ms<=60000,error_share<=0"], 0, "met     error_share<=0  (measured 0)"),
        (["--slo", "e2e_ms<=0.001"], 1, "FAILED  goodput_share>=0.95"),
        (["--slo", "e2e_ms<=60000", "-u", "2", "--processes", "2"], 0, "met     goodput_share>=0.95"),
        (["--slo", "fast<=1"], 2, "'fast' is no measure"),
    ],
    ids=["met", "failed", "met, two workers", "could not run"],
)
async def test_locusts_own_command_judges_the_slo(arguments: list[str], code: int, said: str) -> None:
    engine = ScriptedEngine("m", "a word or two", itl_s=0.01)
    async with running(app_of({"m": engine})) as host:
        found, output = await ran(*LOCUST, "--host", host, *arguments)
    assert found == code, output
    assert said in output


async def test_the_open_loop_counts_every_turn(tmp_path: Path) -> None:
    engine = ScriptedEngine("m", "a word or two")
    run = ("-m", "loadtest", "run", "--duration", "4", "--rate", "60", "--scenarios", "multi-turn", "--think-s", "0")
    async with running(app_of({"m": engine})) as host:
        code, output = await ran(*run, "--host", host, "--out", str(tmp_path))
    assert code == 0, output
    assert "open, 60 requests/s: 30.2 arrivals/s of 1.99 requests" in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["settings"]["loop"].startswith("open, 60 requests/s: 30.2 arrivals/s")
    assert summary["summary"]["requests"] == pytest.approx(240, rel=0.35)  # without counting turns, 480


def test_a_redirect_is_refused_and_the_other_host_hears_nothing() -> None:
    heard: list[str | None] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["authorization"])
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    other = HTTPServer(("127.0.0.1", 0), Other)
    location = f"http://localhost:{other.server_port}/v1/models"

    class Redirecting(Other):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", location)
            self.end_headers()

    first = HTTPServer(("127.0.0.1", 0), Redirecting)
    for server in (first, other):
        Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(LoadError, match=f"redirects to {location}; give the host that answers directly"):
            find_target(f"http://127.0.0.1:{first.server_port}", "", "secret")
    finally:
        for server in (first, other):
            server.shutdown()
            server.server_close()
    assert heard == []

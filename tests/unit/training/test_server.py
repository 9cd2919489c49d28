"""Servers of the training: started, awaited, stopped; one that does not start is one sentence."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.paths import ROOT
from training import server
from training.errors import TrainingError

READY = """
import http.server, sys
port = int(next(word for word in sys.argv if word.startswith("port=")).split("=")[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in which `python -m deployments.start` is another program."""
    package = tmp_path / "root" / "deployments"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(server, "ROOT", package.parent)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(server, "POLL_S", 0.1)
    return package / "start.py"


def test_a_server_is_ready_within_and_stopped_after(fake: Path, tmp_path: Path) -> None:
    fake.write_text(READY)
    with server.served("tiny", tmp_path / "log") as url:
        assert httpx.get(url).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def test_a_server_is_stopped_after_an_error(fake: Path, tmp_path: Path) -> None:
    fake.write_text(READY)
    with pytest.raises(ZeroDivisionError), server.served("tiny", tmp_path / "log") as url:
        raise ZeroDivisionError
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def test_a_server_ends_with_a_command_that_is_killed(fake: Path, tmp_path: Path) -> None:
    fake.write_text(READY)
    command = f"""
import os, signal, sys
from pathlib import Path
from tests.support.paths import ROOT
from training import server
server.ROOT = Path({str(tmp_path / "root")!r})
with server.served("tiny", Path({str(tmp_path / "log")!r})) as url:
    print(url, flush=True)
    os.environ.pop("PYTHONPATH", None)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for _ in range(100):
        try:
            httpx.get(killed.stdout.strip())
        except httpx.TransportError:
            return
        time.sleep(0.1)
    raise AssertionError("the server still answers")


def test_a_server_that_ends_is_one_sentence_with_the_end_of_its_output(fake: Path, tmp_path: Path) -> None:
    fake.write_text("import sys; sys.exit('Error: port 9101 is in use.')")
    with (
        pytest.raises(
            TrainingError, match=r"The server did not start; the end of '.*log': Error: port 9101 is in use\."
        ),
        server.served("tiny", tmp_path / "log"),
    ):
        pass

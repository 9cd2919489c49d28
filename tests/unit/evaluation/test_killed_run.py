"""A run that is killed with SIGKILL in its middle, and run again."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evaluation.__main__ import main
from evaluation.store import read_answers
from tests.support.paths import ROOT
from tests.support.waiting import GUARD_S

ITEMS, WORKERS, BEFORE = 8, 3, 7  # BEFORE: answers that the first command gets
WAIT_S = GUARD_S  # against a hang: the test waits for events alone


class Scripted(ThreadingHTTPServer):
    """Answers `limit` questions, then holds every further one until `released`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.limit = BEFORE
        self.asked: Counter[str] = Counter()  # questions that were answered
        self.held = threading.Semaphore(0)  # one permit per question that is held
        self.released = threading.Event()
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Speaks as much of OpenAI's API as a run needs."""

    server: Scripted

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer({"data": [{"id": "m"}]} if self.path == "/v1/models" else {"version": "1"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][-1]["content"]
        with self.server.lock:
            answered = self.server.asked.total() < self.server.limit
            self.server.asked[question] += answered
        if not answered:
            self.server.held.release()
            self.server.released.wait(WAIT_S)
            return
        self._answer({"choices": [{"message": {"content": question.split()[0]}, "finish_reason": "stop"}]})

    def _answer(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.released.set()
        serving.shutdown()
        thread.join()


def test_a_killed_run_asks_every_question_once(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    rows = [{"question": f"word{number} is what?", "answer": f"word{number}"} for number in range(ITEMS)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["run", "--recipes", "m", "--samples", "2", "--concurrency", str(WORKERS)]
    command += ["--dataset", f"qa={tmp_path}/mine.jsonl", "--out", f"{tmp_path}/out"]
    command += ["--url", f"http://127.0.0.1:{server.server_address[1]}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "evaluation", *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        for _ in range(WORKERS):  # a worker asks again only when its last answer is on disk
            assert server.held.acquire(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
    file = tmp_path / "out" / "rows.jsonl"
    assert file.read_bytes().count(b"\n") == BEFORE
    with file.open("ab") as torn:
        torn.write(b'{"arm":"m","model":"m","da')  # as if the kill had met a write
    server.limit = 2 * ITEMS
    server.released.set()
    assert main(command) == 0
    assert set(server.asked.values()) == {2}  # of each question both samples, none of them twice
    assert len(server.asked) == ITEMS
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert Counter((line["item"], line.get("sample", 0)) for line in lines) == {
        (str(item), sample): 1 for item in range(1, ITEMS + 1) for sample in (0, 1)
    }
    assert [row.score for row in read_answers(tmp_path / "out")] == [1.0] * 2 * ITEMS

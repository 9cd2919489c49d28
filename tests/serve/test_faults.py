"""Processes of a server under load are killed: whole answers are not lost, streams say that they ended."""

import csv
import io
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx
import openai
import psutil
import pytest

from deployments.cluster.haproxy.node import Node
from deployments.cluster.reports import LOG
from tests.support.server import Server

T = TypeVar("T")

CALLERS = 4
GUARD_S = 60.0  # against a hang
SETTLE_S = 1.0
INGRESS, HAPROXY, CONTROLLER = "ServeReplica:default:ingress", "/haproxy -dS -db", "^ray::ServeController"


@dataclass
class Load:
    """Callers that ask whole answers, one after the other, and what they got: a status, or 0 for none."""

    url: str
    statuses: list[int] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, text: str = "brief", model: str = "scripted-b") -> None:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        with httpx.Client(timeout=GUARD_S) as client:
            while not self._stop.is_set():
                try:
                    response = client.post(f"{self.url}/v1/chat/completions", json=body)
                    status, text_ = response.status_code, response.text
                except httpx.TransportError as error:
                    status, text_ = 0, repr(error)
                self.statuses.append(status)
                self.bodies.append(text_)
                time.sleep(0.02)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self.ask) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(SETTLE_S)
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(2 * GUARD_S)

    def failures(self) -> list[str]:
        return [body[:200] for status, body in zip(self.statuses, self.bodies, strict=True) if status != 200]


def settled(server: Server, pattern: str, count: int) -> list[int]:
    """Process ids, as soon as there are so many: replicas and the proxy follow the first answer."""
    ends_at = time.monotonic() + GUARD_S
    while len(found := [*server.processes(pattern)]) != count:
        assert time.monotonic() < ends_at, (pattern, found, listing(server))
        time.sleep(0.2)
    return found


def orchestrators(server: Server) -> list[int]:
    """Process ids of both orchestrators, as soon as HAProxy sends requests to them and to no other."""

    def both() -> list[int]:
        pids = [*server.processes(INGRESS)]
        ports: set[int] = set()
        for pid in pids:
            with suppress(psutil.Error):
                sockets = psutil.Process(pid).net_connections("tcp")
                ports |= {one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN}
        asked = routed(server)
        return pids if len(pids) == len(asked) == 2 and asked <= ports else []

    return until(both, lambda: f"{routed(server)} {listing(server)}")


def routed(server: Server) -> set[int]:
    """Ports of the orchestrators that HAProxy takes for reachable."""
    node = proxy(server)
    table = "" if node is None else node.ask(b"show stat\n").decode().removeprefix("# ")
    return {
        int(row["addr"].rpartition(":")[2])
        for row in csv.DictReader(io.StringIO(table))
        if row["pxname"].startswith("http-") and row["addr"] and row["bck"] == "0" and row["status"].startswith("UP")
    }


def listing(server: Server) -> str:
    pids = ",".join(map(str, server.processes()))
    return subprocess.run(["ps", "-o", "pid,ppid,args", "-p", pids], capture_output=True, text=True).stdout


def until(met: Callable[[], T | None], otherwise: Callable[[], str] = str) -> T:
    """The first result that is true."""
    ends_at = time.monotonic() + GUARD_S
    while not (result := met()):
        assert time.monotonic() < ends_at, otherwise()
        time.sleep(0.05)
    return result


def test_a_lost_orchestrator_loses_no_whole_answer(server: Server, client: openai.OpenAI) -> None:
    before = orchestrators(server)
    with Load(server.url).running() as load:
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(server.processes(INGRESS).keys() - set(before)) == 1)
        time.sleep(SETTLE_S)
    assert load.failures() == []
    assert len(load.statuses) >= CALLERS


def test_without_any_orchestrator_a_request_waits_or_gets_an_error_to_retry(server: Server) -> None:
    before = orchestrators(server)
    with Load(server.url).running() as load:
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(server.processes(INGRESS).keys() - set(before)) == 2)
        answered = len(load.statuses)
        until(lambda: 200 in load.statuses[answered:])
    print(f"\n{len(load.statuses)} asked: {Counter(load.statuses)} {set(load.failures())}")
    assert set(load.statuses) <= {200, 503}
    for body in load.failures():
        assert '"code":"engine_unavailable"' in body


def test_streams_of_lost_orchestrators_end_in_an_error(server: Server) -> None:
    begun = threading.Barrier(CALLERS + 1, timeout=GUARD_S)
    before = orchestrators(server)

    def read() -> str:
        text = ""
        body = {"model": "scripted-a", "stream": True, "messages": [{"role": "user", "content": "slow"}]}
        try:
            with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=GUARD_S) as response:
                for piece in response.iter_text():
                    if not text:
                        begun.wait()
                    text += piece
        except httpx.RemoteProtocolError as error:
            return f"{text}{error}"
        return text

    with ThreadPoolExecutor(CALLERS) as pool:
        streams = [pool.submit(read) for _ in range(CALLERS)]
        begun.wait()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        for stream in streams:
            text = stream.result(GUARD_S)
            assert text.startswith("data: {")
            assert "[DONE]" not in text
            assert "incomplete chunked read" in text


def proxy(server: Server) -> Node | None:
    """Files of the server's HAProxy."""
    for pid in server.processes(HAPROXY):
        with suppress(OSError):
            [config] = re.findall(r"-f\0([^\0]+)", Path(f"/proc/{pid}/cmdline").read_text())
            return Node(os.path.dirname(config))
    return None


def haproxy(server: Server) -> int | None:
    """Process id of the HAProxy that has the port; others answer their last requests."""
    node = proxy(server)
    return None if node is None else node.answering()


def test_haproxy_is_back_before_ray_notices(server: Server) -> None:
    """Its supervisor, which counts, starts it again; Ray itself would start another supervisor after 27 s."""
    orchestrators(server)
    with Load(server.url).running() as load:
        node, lost = until(lambda: proxy(server)), until(lambda: haproxy(server))  # it may just be reloaded
        restarts = node.restarts()
        os.kill(lost, signal.SIGKILL)
        killed = time.monotonic()
        answered = len(load.statuses)
        until(lambda: 200 in load.statuses[answered + CALLERS :])
        took_s = time.monotonic() - killed
    print(f"\nanswered again after {took_s:.2f} s: {Counter(load.statuses)}")
    assert node.restarts() == restarts + 1
    # Requests through the lost process end with it; after that, callers are refused for a moment.
    assert set(load.statuses) <= {200, 503, 0}
    until(lambda: haproxy(server) not in (None, lost))


def test_a_lost_controller_is_not_seen(server: Server) -> None:
    orchestrators(server)
    [controller] = settled(server, CONTROLLER, 1)
    with Load(server.url).running() as load:
        os.kill(controller, signal.SIGKILL)
        until(lambda: bool(server.processes(CONTROLLER).keys() - {controller}))
        time.sleep(6 * SETTLE_S)  # it restores the routes
    assert load.failures() == []


def test_the_terminal_has_one_line_for_each_lost_process(server: Server) -> None:
    """Runs after the others, which killed processes of Ray."""
    settled(server, INGRESS, 2)
    assert server.folder is not None
    log = server.folder / "serve.log"
    until(lambda: "is being replaced" in log.read_text())
    lines = log.read_text().splitlines()
    reports = [line for line in lines if "is being replaced" in line]
    assert not [line for line in lines if "A worker died" in line or "(raylet)" in line]
    for line in reports:
        assert re.fullmatch(
            r"A process of the server \(pid \d+\) died and is being replaced \(details: /.+\)\.", line
        ), line
    details = Path(reports[0].partition("(details: ")[2].rstrip(").")).read_text()
    assert details.count("A worker died or was killed") >= 1
    assert reports[0].endswith(f"{LOG}).")


@pytest.fixture(scope="module", autouse=True)
def _healthy(server: Server, client: openai.OpenAI) -> None:
    """All models answer before the first process is lost."""
    client.chat.completions.create(model="moa-lite", messages=[{"role": "user", "content": "hello"}])
    orchestrators(server)

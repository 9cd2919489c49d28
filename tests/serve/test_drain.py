"""A node leaves under load, announced (a spot notice) or not (a crash): no request is lost, and no stream is cut."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.callers import Callers, Held, counts
from tests.support.nodes import ANY, GUARD_S, MODELS, Nodes, Worker, nodes, until
from tests.support.paths import ROOT

NOTICE_S, DRAIN_S = 6.0, 90.0
BALANCERS_S = 3.0  # of the notice; load balancers send requests until then
SETTLE_S = 2.0
ROUNDED_S = 0.1  # the hook says tenths of a second


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with (
        tempfile.TemporaryDirectory(prefix="moa-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        nodes(Path(folder), NOTICE_S, DRAIN_S) as up,
    ):
        up.wait_until_healthy()
        yield up


@dataclass
class Hook:
    """The command of a pod's preStop hook, for a node that is named."""

    process: subprocess.Popen[str]

    def took_s(self) -> float:
        """Seconds, as it says, from the announcement until nothing was left. Fails if the command does."""
        said, complaint = self.process.communicate(timeout=GUARD_S)
        assert self.process.returncode == 0, complaint[-2000:]
        found = re.search(r"^Drained in ([0-9.]+) s\.$", said, re.MULTILINE)  # after Ray's reports of lost nodes
        assert found is not None, said
        return float(found[1])


@contextmanager
def hook(cluster: Nodes, worker: Worker) -> Iterator[Hook]:
    arguments = [f"--address={cluster.cluster.address}", f"--node-id={worker.node_id}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments.drain", *arguments, f"--notice-s={NOTICE_S}", f"--drain-s={DRAIN_S}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Hook(process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def load(cluster: Nodes) -> Iterator[list[Callers]]:
    """Callers of the head's HAProxy, from before the node leaves until after it has left."""
    with (
        Callers(cluster.url, "moa-lite", streams=3, wholes=3).running() as team,
        Callers(cluster.url, "b", streams=2, wholes=2).running() as single,
    ):
        time.sleep(SETTLE_S)
        yield [team, single]
        time.sleep(SETTLE_S)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("kind", ["models", "orchestrator"])
def test_a_drained_node_cuts_no_stream_and_loses_no_request(cluster: Nodes, kind: str) -> None:
    worker = cluster.workers[0]
    cluster.add_worker(*ANY)  # replacements have a place
    before = cluster.replicas_on(worker)
    here = cluster.models_on(worker)
    [elsewhere] = set(MODELS) - set(here)
    assert len(before) == len(here) + (kind == "orchestrator"), before
    with ExitStack() as stack:

        def held(url: str, model: str, name: str) -> Held:
            callers = Held(
                url, model, streams=4, wholes=2, gates=cluster.gates, name=f"{name}-{kind}".replace("-", "_")
            )
            return stack.enter_context(callers.running())

        through = held(worker.url, elsewhere, "proxy")  # the node has no other part in them than its HAProxy
        inside = [held(cluster.url, model, model) for model in here]  # half of them, in replicas that leave
        everywhere = stack.enter_context(load(cluster))
        near = [Callers(worker.url, model, streams=2, wholes=2) for model in ("moa-lite", here[0])]
        for callers in near:
            stack.enter_context(callers.running())
        for one in (through, *inside):
            one.wait_until_begun()
        leaving = stack.enter_context(hook(cluster, worker))
        notice_ends_at = until(lambda: cluster.notice_ends_at(worker, DRAIN_S), lambda: leaving.process.poll())
        in_flight = through.in_flight + sum(callers.in_flight for callers in near)

        time.sleep(max(0.0, notice_ends_at - NOTICE_S + BALANCERS_S - time.time()))
        for callers in near:
            callers.stop()
        time.sleep(max(0.0, notice_ends_at + 1 - time.time()))
        inside_s = time.time() + NOTICE_S - notice_ends_at
        for one in inside:
            one.let_go()
        if kind == "models":
            until(lambda: not cluster.replicas_on(worker), lambda: cluster.replicas_on(worker))
            time.sleep(2.0)
        through_s = time.time() + NOTICE_S - notice_ends_at
        through.let_go()
        took_s = leaving.took_s()
        assert cluster.replicas_on(worker) == []
        cluster.kill(worker)
    groups = [through, *near, *inside, *everywhere]
    print(f"\nhook: {took_s} s; {len(before)} replicas moved; in flight through the node at the notice: {in_flight}")
    print(f"  through the node: {counts(through, *near)}\n  through the head: {counts(*inside, *everywhere)}")
    assert [one for callers in groups for one in callers.lost()] == []
    assert took_s >= NOTICE_S
    assert took_s + ROUNDED_S >= inside_s, "the replicas answered until then"
    assert took_s + ROUNDED_S >= through_s, "streams passed through the node's HAProxy until then"
    assert sum(callers.degraded() for callers in groups) == 0
    assert all(len(callers.asked) >= callers.streams + callers.wholes for callers in groups)
    cluster.wait_until_healthy()


@pytest.mark.timeout(420)
def test_a_killed_node_loses_no_whole_answer(cluster: Nodes) -> None:
    cluster.wait_until_healthy()
    with (
        Callers(cluster.url, "moa-lite", wholes=6).running() as team,
        Callers(cluster.url, "b", wholes=3).running() as single,
    ):
        time.sleep(SETTLE_S)
        lost = cluster.kill(cluster.workers[0])
        killed = time.monotonic()
        cluster.wait_until_replaced(lost)
        replaced_s = time.monotonic() - killed
        time.sleep(SETTLE_S)
    assert len(lost) >= 2
    print(f"\n{len(lost)} replicas killed, replaced after {replaced_s:.1f} s; {counts(team, single)}")
    assert team.lost() == []
    assert single.lost() == []

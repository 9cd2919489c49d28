"""A node leaves under load, announced (a spot notice) or not (a crash): no whole answer is lost."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import Load, Nodes, nodes
from tests.support.paths import ROOT

SETTLE_S = 4.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with (
        tempfile.TemporaryDirectory(prefix="moa-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        nodes(Path(folder)) as up,
    ):
        yield up


def busiest(cluster: Nodes) -> int:
    """The worker with the most replicas."""
    return max(
        range(len(cluster.workers)), key=lambda number: len(cluster.replicas_on(cluster.workers[number].node_id))
    )


@pytest.mark.timeout(420)
def test_a_drained_node_loses_nothing_and_degrades_nothing(cluster: Nodes) -> None:
    cluster.wait_until_healthy()
    number = busiest(cluster)
    node = cluster.workers[number]
    before = cluster.replicas_on(node.node_id)
    assert len(before) >= 2
    with Load(cluster.url, "moa-lite").running() as team, Load(cluster.url, "b", callers=3).running() as single:
        time.sleep(SETTLE_S)
        # The command of a pod's preStop hook, with the node it drains.
        run = subprocess.run(
            [sys.executable, "-m", "deployments.drain", f"--address={cluster.cluster.address}",
             f"--node-id={node.node_id}", "--notice-s=20", "--drain-s=15"],
            cwd=ROOT, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr[-2000:]
        assert cluster.replicas_on(node.node_id) == []
        cluster.cluster.remove_node(node, allow_graceful=False)
        time.sleep(SETTLE_S)
    print(f"\n{run.stdout.strip()} {len(before)} replicas moved; {team.summary()}; {single.summary()}")
    assert set(team.statuses) == {200}
    assert set(single.statuses) == {200}
    assert team.degraded == 0
    assert len(team.statuses) > 20
    cluster.workers.pop(number)
    cluster.wait_until_healthy()


@pytest.mark.timeout(420)
def test_a_killed_node_loses_no_whole_answer(cluster: Nodes) -> None:
    cluster.workers.append(
        cluster.cluster.add_node(num_cpus=3, resources={"moa-models": 8}, node_ip_address="127.0.0.1")
    )
    cluster.wait_until_healthy()
    number = busiest(cluster)
    count = sum(len(cluster.replicas_on(node.node_id)) for node in cluster.cluster.list_all_nodes())
    with Load(cluster.url, "moa-lite").running() as team, Load(cluster.url, "b", callers=3).running() as single:
        time.sleep(SETTLE_S)
        lost = cluster.kill(number)
        killed = time.monotonic()
        cluster.wait_until_replaced(lost, count)
        replaced_s = time.monotonic() - killed
        time.sleep(SETTLE_S)
    assert len(lost) >= 2
    print(f"\n{len(lost)} replicas killed, replaced after {replaced_s:.1f} s; {team.summary()}; {single.summary()}")
    assert set(team.statuses) == {200}, [body for body in team.bodies if "error" in body][:3]
    assert set(single.statuses) == {200}, [body for body in single.bodies if "error" in body][:3]

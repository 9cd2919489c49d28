"""Draining a node, without a cluster: the wait for its replicas, a refusal, and the command's exit."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private import services, state

from deployments import drain as module
from deployments.drain import announce_drain, check_address, drain, main, replicas_on
from serving.ports import free_port


def actor(node: str, kind: str = "ServeReplica:default:ingress", status: str = "ALIVE") -> dict[str, Any]:
    return {"Name": f"{kind}#{node}", "Address": {"NodeID": node}, "ActorClassName": kind, "State": status}


class Gcs:
    """Stands for Ray's client of the cluster's control service."""

    accepts = True
    drained: list[tuple[Any, ...]]

    def __init__(self, address: str) -> None:
        self.address = address

    def drain_node(self, *arguments: Any) -> tuple[bool, str]:
        type(self).drained.append((self.address, *arguments))
        return self.accepts, "the node is the head"


class Clock:
    """Time that passes by sleeping only."""

    now_s = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> type[Gcs]:
    class Recorded(Gcs):
        drained = []

    monkeypatch.setattr("ray._raylet.GcsClient", Recorded)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    context = type("Context", (), {"gcs_address": "head:6379", "get_node_id": lambda self: "here"})()
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now_s)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(module, "proxy_is_idle", lambda folder: True)
    return Recorded


def with_actors(monkeypatch: pytest.MonkeyPatch, *listings: list[dict[str, Any]]) -> None:
    """Each listing of actors in turn; the last one repeats."""
    remaining = [*listings]
    assert callable(state.actors), "Ray no longer has it"

    def actors() -> dict[str, dict[str, Any]]:
        found = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return {str(number): one for number, one in enumerate(found)}

    monkeypatch.setattr(state, "actors", actors)


def test_only_living_replicas_of_the_node_count(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = actor("a")
    with_actors(monkeypatch, [mine, actor("b"), actor("a", "ServeController"), actor("a", status="DEAD")])
    assert replicas_on("a") == [mine["Name"]]


def test_draining_ends_with_the_last_replica(monkeypatch: pytest.MonkeyPatch, gcs: type[Gcs]) -> None:
    with_actors(monkeypatch, [actor("here")], [actor("here")], [])
    assert drain("auto", notice_s=30, drain_s=30) == 31, "two polls after the notice"
    [(address, node_id, _, _, deadline_ms)] = gcs.drained
    assert (address, node_id) == ("head:6379", "here")
    assert isinstance(deadline_ms, int), "the protocol's type"


@pytest.mark.usefixtures("gcs")
def test_the_notice_passes_where_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with_actors(monkeypatch, [])
    assert drain("auto", notice_s=10, drain_s=75) == 10, "load balancers still send requests until then"


@pytest.mark.usefixtures("gcs")
def test_streams_through_the_nodes_haproxy_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with_actors(monkeypatch, [])
    asked: list[str] = []

    def idle(folder: Path) -> bool:
        asked.append(folder.name)
        return len(asked) > 4

    monkeypatch.setattr(module, "proxy_is_idle", idle)
    assert drain("auto", notice_s=10, drain_s=75) == 12
    assert set(asked) == {"here"}
    asked.clear()
    monkeypatch.setattr(module, "proxy_is_idle", lambda folder: False)
    assert drain("auto", notice_s=10, drain_s=75) is None


def test_another_node_can_be_drained(monkeypatch: pytest.MonkeyPatch, gcs: type[Gcs]) -> None:
    with_actors(monkeypatch, [actor("here")])
    assert drain("auto", 30, 30, node_id="there") == 30
    assert gcs.drained[0][1] == "there"


@pytest.mark.usefixtures("gcs")
def test_replicas_that_stay_end_the_command_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with_actors(monkeypatch, [actor("here")])
    monkeypatch.setattr("sys.argv", ["drain", "--notice-s", "0.01", "--drain-s", "0.01"])
    with pytest.raises(SystemExit, match="Timed out with requests still in flight"):
        main()


@pytest.mark.usefixtures("gcs")
def test_the_command_says_how_long_it_took(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_actors(monkeypatch, [])
    monkeypatch.setattr("sys.argv", ["drain"])
    main()
    assert capsys.readouterr().out.startswith("Drained in ")


def test_a_refusal_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch, gcs: type[Gcs]) -> None:
    monkeypatch.setattr(gcs, "accepts", False)
    with pytest.raises(RuntimeError, match="refused to drain node n: the node is the head"):
        announce_drain("n", 1)


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("address", ["127.0.0.1:{free}", "127.0.0.1:port", "127.0.0.1", "127.0.0.1:99999"])
def test_a_cluster_that_does_not_answer_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str, variable: bool
) -> None:
    address = address.format(free=free_port())
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("Ray repeats its attempts for minutes"))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr("sys.argv", ["drain"] if variable else ["drain", "--address", address])
    monkeypatch.setenv("RAY_ADDRESS", address if variable else "")
    with pytest.raises(SystemExit) as ended:
        main()
    said = str(ended.value.code)
    assert said.startswith("Error: no Ray cluster answers at '")
    assert said.endswith("'; give --address as HOST:PORT.")


def test_a_cluster_that_listens_is_connected_to() -> None:
    with socket.create_server(("", 0)) as server:
        check_address(f"127.0.0.1:{server.getsockname()[1]}")


def test_no_cluster_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(address: str) -> str:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(services, "canonicalize_bootstrap_address", none)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr("sys.argv", ["drain"])
    with pytest.raises(SystemExit, match="Error: no Ray cluster was found; run this on one of its nodes"):
        main()

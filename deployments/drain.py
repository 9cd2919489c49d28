"""Drain a node of a Ray cluster: the preStop hook of every worker pod, also run on a spot interruption.

    python -m deployments.drain --notice-s 10 --drain-s 75

Announces that the node will leave. Serve then starts replacements on other nodes, stops routing to this node's replicas
once the replacements run or after `notice_s`, and lets running requests finish for `drain_s`. The command returns when
`notice_s` is over, no replica is left on the node, and its HAProxy has no request in progress. It fails if that is not
so after `notice_s` plus `drain_s`. Load balancers may send requests to the node's HAProxy until `notice_s` is over.
"""

# Ray is imported in the functions: it takes a second, which `--help` need not.

import logging
import socket
import sys
import time
from typing import Any

from deployments.cluster.proxy import proxy_folder, proxy_is_idle
from serving.command_line import CommandLine

REPLICA = "ServeReplica:"  # the class name's prefix of Serve's replica actors
POLL_S = 0.5
CONNECT_S = 5.0  # for a TCP connection; Ray itself repeats its attempts for minutes
UNREACHABLE = "no Ray cluster answers at '{}'; give --address as HOST:PORT"


class UnreachableCluster(ConnectionError):
    """Nothing listens at the address of the cluster."""


def drain(address: str, notice_s: float, drain_s: float, node_id: str | None = None) -> float | None:
    """Drain a node of the cluster at `address`.

    Args:
        address: Address of the cluster, or "auto".
        notice_s: Time for replacements to start, and for load balancers to leave the node, before routing to it stops.
        drain_s: Time for running requests to finish.
        node_id: Hexadecimal id of the node. None: this node. Only an HAProxy on this machine is waited for.

    Returns:
        Seconds until nothing was left on the node, at least `notice_s`. None if something was when the time was over.

    Raises:
        ConnectionError: there is no cluster, or it cannot be reached.
        RuntimeError: the cluster refused to drain the node.
    """
    import ray

    connects = not ray.is_initialized()
    if connects:
        check_address(address)
        ray.init(address=address, namespace="serve", logging_level=logging.ERROR, log_to_driver=False)
    try:
        node_id = node_id or ray.get_runtime_context().get_node_id()
        started = time.monotonic()
        announce_drain(node_id, notice_s + drain_s)
        while True:
            waited_s = time.monotonic() - started
            if waited_s >= notice_s and not replicas_on(node_id) and proxy_is_idle(proxy_folder(node_id)):
                return waited_s
            if waited_s >= notice_s + drain_s:
                return None
            time.sleep(POLL_S)
    finally:
        if connects:
            ray.shutdown()


def check_address(address: str) -> None:
    """Connect once to the control service at `address`, HOST:PORT, or at that which Ray finds for "auto".

    Raises:
        ConnectionError: there is no cluster on this machine.
        UnreachableCluster: nothing listens there, or the address is none.
    """
    if "://" in address:  # of Ray's client, which has a limit of its own
        return
    from ray._private import services

    try:
        found = services.canonicalize_bootstrap_address(address)
        host, _, port = (found or address).rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except ConnectionError as error:
        if error.errno is None:  # Ray's own: it found no cluster
            raise
        raise UnreachableCluster(UNREACHABLE.format(found or address)) from None
    except (OSError, ValueError, OverflowError):
        raise UnreachableCluster(UNREACHABLE.format(address)) from None


def announce_drain(node_id: str, deadline_s: float) -> None:
    """Announce that the node leaves in `deadline_s`. Serve stops a replica its own `drain_s` before that.

    Raises:
        RuntimeError: the cluster refused.
    """
    import ray

    # Ray has no public function for it: its hidden command `ray drain-node` calls the same method.
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled, and not in its .pyi file
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]  # generated

    gcs = GcsClient(address=ray.get_runtime_context().gcs_address)
    accepted, reason = gcs.drain_node(
        node_id,
        DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
        "the pod is being stopped",
        time.time_ns() // 1_000_000 + int(deadline_s * 1000),
    )
    if not accepted:
        raise RuntimeError(f"The cluster refused to drain node {node_id}: {reason}.")


def replicas_on(node_id: str) -> list[str]:
    """Names of the Serve replicas that still run on the node."""
    from ray._private import state

    actors: dict[str, dict[str, Any]] = state.actors()
    return [
        actor["Name"]
        for actor in actors.values()
        if actor["Address"]["NodeID"] == node_id
        and actor["ActorClassName"].startswith(REPLICA)
        and actor["State"] != "DEAD"
    ]


def main() -> None:
    """Drain a node as the command line says; exit with status 1 if requests are still in flight."""
    parser = CommandLine(prog="python -m deployments.drain", description=__doc__)
    add = parser.add_argument
    add("--address", default="auto", help="address of the cluster; default: the one that this node belongs to")
    add("--node-id", help="hexadecimal id of the node; default: this node")
    add("--notice-s", type=float, default=10, help="seconds for replacements to start")
    add("--drain-s", type=float, default=75, help="seconds for running requests to finish")
    args = parser.parse_args()
    try:
        took_s = drain(args.address, args.notice_s, args.drain_s, args.node_id)
    except UnreachableCluster as error:
        sys.exit(f"Error: {error}.")
    except ConnectionError:
        sys.exit("Error: no Ray cluster was found; run this on one of its nodes, or give --address.")
    if took_s is None:
        sys.exit("Timed out with requests still in flight; give them more time with --drain-s.")
    print(f"Drained in {took_s:.1f} s.")


if __name__ == "__main__":
    main()

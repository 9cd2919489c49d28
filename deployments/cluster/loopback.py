"""A local cluster listens on 127.0.0.1 alone; only the API's port follows `AppArgs.host`.

Ray 2.60 opens its ports, the proxy's pages and the replicas' ports (which unpickle what they are sent) on every
interface, and has no option against it. The three places are corrected here.
"""

import os
import socket
import sys
from collections.abc import Callable

from ray._private import ray_constants

from deployments.config import ROOT

LOOPBACK = "127.0.0.1"
PROXY_PORTS = ("RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT")
REPLICA_HOOK = "deployments.cluster.loopback.keep_replica_to_loopback"


def keep_to_loopback() -> None:
    """Prepare this process and its environment; before `ray.init`."""
    # Where Ray cannot build clusters (macOS, Windows) it keeps to loopback; it is told that this is such a place.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    # The hook is imported before a worker has this process's import path.
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT) if path is None else f"{ROOT}{os.pathsep}{path}"
    for name in PROXY_PORTS:
        os.environ.setdefault(name, str(free_port()))
    # Read by haproxy.sh, which cannot count on this Python being on the PATH.
    os.environ["MOA_PYTHON"] = sys.executable
    os.environ["MOA_HAPROXY_LOOPBACK"] = "1"


def keep_replica_to_loopback() -> None:
    """Run by every worker process as it starts: the port between replicas on 127.0.0.1."""
    from ray.serve._private import replica

    original: Callable[[object, str], int] = vars(replica)["add_port_to_grpc_server"]

    def on_loopback(server: object, address: str) -> int:
        return original(server, address.replace("[::]", LOOPBACK))

    vars(replica)["add_port_to_grpc_server"] = on_loopback


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])

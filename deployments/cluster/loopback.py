"""Loopback-only networking of a local cluster: everything but the API's port listens on 127.0.0.1.

Ray 2.60 opens its own ports, the proxy's pages and the replicas' ports (which unpickle what they receive) on every
interface and has no option to change that. This module corrects the three places.
"""

import os
import sys
from collections.abc import Callable

from ray._private import ray_constants

from deployments.weights_source import ROOT
from serving.ports import LOOPBACK, free_port

# Ports of their own, so that servers on one machine do not meet: HAProxy's pages, and Serve's proxy behind it, which
# it asks while it knows no replica. On its usual port, 8500, another server would answer.
PROXY_PORTS = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
)
REPLICA_HOOK = "deployments.cluster.loopback.keep_replica_to_loopback"


def keep_to_loopback() -> None:
    """Prepare this process and its environment. Call it before `ray.init`."""
    # On macOS and Windows, Ray builds no clusters and stays on loopback; these two settings make it do so here.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    # Workers import the hook before they have this process's import path.
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT) if path is None else f"{ROOT}{os.pathsep}{path}"
    for name in PROXY_PORTS:
        os.environ.setdefault(name, str(free_port()))
    # Read by haproxy.sh: this Python may not be on the PATH.
    os.environ["MOA_PYTHON"] = sys.executable
    os.environ["MOA_HAPROXY_LOOPBACK"] = "1"


def keep_replica_to_loopback() -> None:
    """Bind the port between replicas to 127.0.0.1. Every worker process runs this as it starts."""
    from ray.serve._private import replica

    original: Callable[[object, str], int] = vars(replica)["add_port_to_grpc_server"]

    def on_loopback(server: object, address: str) -> int:
        return original(server, address.replace("[::]", LOOPBACK))

    vars(replica)["add_port_to_grpc_server"] = on_loopback

"""Loopback-only networking of a local cluster, and the places in Ray that it changes."""

import os
import sys

import pytest
from ray._private import ray_constants
from ray.serve._private import constants, replica

from deployments.cluster.loopback import PROXY_PORTS, REPLICA_HOOK, keep_replica_to_loopback, keep_to_loopback
from deployments.weights_source import ROOT


def test_this_process_and_its_environment_are_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {PROXY_PORTS[0]: "4711", "PYTHONPATH": "/elsewhere"}
    monkeypatch.setattr("os.environ", environment)
    assert hasattr(ray_constants, "ENABLE_RAY_CLUSTER"), "Ray no longer has it"
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
    keep_to_loopback()
    assert ray_constants.ENABLE_RAY_CLUSTER is False
    chosen = {environment.pop(name) for name in PROXY_PORTS[1:]}
    assert len(chosen) == 2
    assert all(port.isdigit() and int(port) > 1023 for port in chosen)
    assert environment == {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "PYTHONPATH": f"{ROOT}{os.pathsep}/elsewhere",
        PROXY_PORTS[0]: "4711",
        "MOA_PYTHON": sys.executable,
        "MOA_HAPROXY_LOOPBACK": "1",
    }


def test_the_ports_are_those_that_ray_reads() -> None:
    assert {name for name in PROXY_PORTS if hasattr(constants, name)} == set(PROXY_PORTS)


def test_the_hook_is_named_as_it_is_imported() -> None:
    assert f"{keep_replica_to_loopback.__module__}.{keep_replica_to_loopback.__name__}" == REPLICA_HOOK


@pytest.mark.parametrize("address", ["[::]:5000", "127.0.0.1:5000"])
def test_a_replicas_port_is_bound_to_loopback(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    assert callable(vars(replica)["add_port_to_grpc_server"]), "Ray no longer has it"
    monkeypatch.setattr(replica, "add_port_to_grpc_server", lambda server, address: (server, address))
    keep_replica_to_loopback()
    assert vars(replica)["add_port_to_grpc_server"]("server", address) == ("server", "127.0.0.1:5000")

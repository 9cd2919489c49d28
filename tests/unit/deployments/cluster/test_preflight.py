"""Missing memory, GPUs, disk, ports or compilers are reported before anything is started."""

import socket
import subprocess
from pathlib import Path

import pytest

from deployments.cluster import preflight
from deployments.cluster.preflight import check_gpu_count, check_ports, check_start, local_gpus
from deployments.config import AppArgs, load_profile
from serving.errors import ConfigError
from serving.ports import free_port
from serving.store.settings import StoreSettings

TWO_GPUS = "GPU 0: NVIDIA L4 (UUID: GPU-1)\nGPU 1: NVIDIA L4 (UUID: GPU-2)\n"


@pytest.mark.parametrize(
    ("memory_gib", "free_gib", "sentence"),
    [
        (2.0, 50, r"needs 7 GiB of memory, but only 2\.0 GiB are"),
        (16.0, 0.1, r"Only 0\.1 GiB of disk are free in /tmp, but a session needs 1 GiB"),
    ],
)
def test_a_small_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, memory_gib: float, free_gib: float, sentence: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free_gib * 2**30}))
    with pytest.raises(ConfigError, match=sentence):
        preflight.check_machine(load_profile("tiny"), memory_gib=memory_gib, disk=Path("/tmp"))


def test_a_compiler_is_asked_for_where_something_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    preflight.check_machine(load_profile("tiny"), memory_gib=None, disk=tmp_path)
    with pytest.raises(ConfigError, match="gcc is not installed; install it"):
        preflight.check_machine(load_profile("large"), memory_gib=None, disk=tmp_path)


def test_available_memory_is_the_lesser_of_kernel_and_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in {
        "MEMINFO": "MemAvailable: 8388608 kB\n",
        "CGROUP_LIMIT": "4294967296",
        "CGROUP_USE": "1073741824",
    }.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(preflight, name, tmp_path / name)
    assert preflight.available_memory_gib() == 3.0
    (tmp_path / "CGROUP_LIMIT").write_text("max\n")
    assert preflight.available_memory_gib() == 8.0


def with_driver(monkeypatch: pytest.MonkeyPatch, status: int, listed: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: subprocess.CompletedProcess([], status, listed))


@pytest.mark.parametrize(("visible", "gpus"), [("0,2", 2), ("GPU-1", 1), ("", 0), ("-1", 0)])
def test_visible_devices_decide_the_number_of_gpus(monkeypatch: pytest.MonkeyPatch, visible: str, gpus: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert local_gpus() == gpus


@pytest.mark.parametrize(("status", "listed", "gpus"), [(0, TWO_GPUS, 2), (9, "No devices were found\n", 0)])
def test_otherwise_the_driver_lists_gpus(monkeypatch: pytest.MonkeyPatch, status: int, listed: str, gpus: int) -> None:
    with_driver(monkeypatch, status, listed)
    assert local_gpus() == gpus


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert local_gpus() == 0


def test_too_few_gpus_are_reported_with_both_numbers() -> None:
    check_gpu_count(load_profile("tiny"), 0, "this machine")
    with pytest.raises(ConfigError, match="'large' needs 6 GPUs, but this machine has 1; use a machine or a cluster"):
        check_gpu_count(load_profile("large"), 1, "this machine")


@pytest.mark.parametrize("name", [None, *preflight.PORTS])
def test_a_port_in_use_is_refused_with_the_setting_that_changes_it(name: str | None) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        args = AppArgs(port=free_port() if name else taken)
        with pytest.raises(ConfigError, match=f"Port {taken}.* cannot be used .*, or {_change(name)}") as caught:
            check_ports(args, {name: str(taken)} if name else {})
    if name:
        assert preflight.PORTS[name] in str(caught.value)
    check_ports(args, {name: str(taken)} if name else {})


def _change(name: str | None) -> str:
    return f"change {name}" if name else "add port=NUMBER"


@pytest.mark.parametrize("given", ["", "abc", "0", "70000", "-1"])
def test_a_variable_that_names_no_port_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=f"Set RAY_SERVE_HAPROXY_STATS_PORT to a port, .* not '{given}'"):
        check_ports(AppArgs(port=free_port()), {"RAY_SERVE_HAPROXY_STATS_PORT": given})


def test_one_port_for_two_uses_is_refused() -> None:
    port = free_port()
    with pytest.raises(ConfigError, match=f"RAY_SERVE_HAPROXY_METRICS_PORT is {port}, which is the port of the API"):
        check_ports(AppArgs(port=port), {"RAY_SERVE_HAPROXY_METRICS_PORT": str(port)})


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=f"'{host}' is no address of this machine; set the host"):
        check_ports(AppArgs(host=host, port=free_port()), {})


def test_ipv6_is_an_address() -> None:
    check_ports(AppArgs(host="::1", port=free_port()), {})


def test_a_cluster_that_exists_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its machines are others; the profile is the same."""
    monkeypatch.setattr(preflight, "available_memory_gib", lambda: 0.5)
    args = AppArgs(profile="tiny", port=free_port())
    assert check_start(args, joins=True).name == "tiny"
    with pytest.raises(ConfigError, match="needs 7 GiB of memory"):
        check_start(args, joins=False)


@pytest.mark.parametrize(("gpus", "name"), [(0, "tiny"), (1, "small"), (2, "small"), (3, "lite"), (8, "lite")])
def test_the_default_profile_follows_the_gpus(monkeypatch: pytest.MonkeyPatch, gpus: int, name: str) -> None:
    monkeypatch.setattr(preflight, "local_gpus", lambda: gpus)
    assert preflight.default_profile() == name
    assert load_profile(name).gpus <= gpus


def test_a_default_profile_needs_the_gpus_that_are_written_beside_it() -> None:
    assert {name: load_profile(name).gpus for name in preflight.DEFAULTS} == preflight.DEFAULTS


def test_a_session_folder_that_ray_will_make_is_measured_by_its_parent(tmp_path: Path) -> None:
    preflight.check_machine(load_profile("tiny"), memory_gib=None, disk=tmp_path / "a" / "b")


def test_a_store_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(preflight, "check_ports", lambda *_: None)
    monkeypatch.setattr(preflight, "check_machine", lambda *_, **__: None)
    profile = load_profile("tiny")
    good = profile.model_copy(update={"store": StoreSettings(path=str(tmp_path / "store.sqlite"))})
    preflight.check_host(good, AppArgs())
    wrong = profile.model_copy(update={"store": StoreSettings(path=str(tmp_path))})
    with pytest.raises(ConfigError, match="The store cannot be kept in"):
        preflight.check_host(wrong, AppArgs())

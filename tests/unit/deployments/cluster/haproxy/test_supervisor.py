"""HAProxy's supervisor: deaths, reloads and stops, as Ray and an operator cause them."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serving.ports import free_port
from tests.support.haproxy import PROGRAM, Proxy, ask_admin, proxied, stopped, until, write_config
from tests.support.orchestrators import Gate
from tests.support.paths import ROOT


async def asked(proxy: Proxy) -> bool:
    try:
        return (await proxy.get()).text == "ok"
    except httpx.TransportError:
        return False


def matching(folder: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def alive(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


async def test_haproxy_is_started_again_when_it_dies(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Gate()}) as proxy:
        for count, number in enumerate((signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM), start=1):
            lost = proxy.haproxy
            os.kill(lost, number)
            assert await until(lambda lost=lost: proxy.haproxy != lost)
            assert await until(lambda: asked(proxy))
            # Ray sees the process that it started, alive.
            assert f"\nPid: {proxy.process.pid}\n" in await ask_admin(proxy.socket)
            page = await proxy.restarts()
            assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert page.text.splitlines()[-1] == f"moa_haproxy_restarts_total {count}"
        assert proxy.process.returncode is None
        assert "HAProxy ended with status 137; starting it again." in proxy.said


async def test_ray_reads_servers_and_states_through_the_supervisor(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Gate()}) as proxy:
        assert "http-app,a," in await ask_admin(proxy.socket, "show stat")
        assert "http-app" in await ask_admin(proxy.socket, "show servers state")


async def test_a_reload_loses_nothing(tmp_path: Path) -> None:
    gate = Gate()
    async with proxied(tmp_path, {"a": gate}) as proxy:
        slow = asyncio.create_task(proxy.get("/slow"))
        assert await until(lambda: gate.waiting == 1)
        first = proxy.process
        statuses: list[int] = []

        async def keep_asking() -> None:
            while True:
                statuses.append((await proxy.get()).status_code)

        load = asyncio.create_task(keep_asking())
        second = await proxy.again("-sf", str(first.pid), "-x", proxy.socket)
        before = len(statuses)
        assert await until(lambda: len(statuses) >= before + 10)
        load.cancel()
        assert set(statuses) == {200}
        assert first.returncode is None, "its request is not answered yet"
        gate.opened.set()
        assert (await slow).text == "ok"
        assert await until(lambda: first.returncode is not None)
        assert first.returncode == 0
        assert await asked(proxy)
        await stopped(second.process)
        assert matching(tmp_path, "moa-*.cfg") == []


async def test_a_stop_is_handed_on_and_final(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Gate()}) as proxy:
        haproxy = proxy.haproxy
        proxy.process.send_signal(signal.SIGTERM)
        assert await until(lambda: proxy.process.returncode is not None)
        assert not alive(haproxy)


async def test_without_its_supervisor_haproxy_goes_on_until_the_next(tmp_path: Path) -> None:
    gate = Gate()
    async with proxied(tmp_path, {"a": gate}) as proxy:
        haproxy = proxy.haproxy
        slow = asyncio.create_task(proxy.get("/slow"))
        assert await until(lambda: gate.waiting == 1)
        proxy.process.kill()
        await proxy.process.wait()
        assert await asked(proxy)
        assert await ask_admin(proxy.socket) == "", "so Ray starts its manager again"
        # As a new manager does: it knows nothing of those before.
        other = await proxy.again()
        assert await asked(other)
        assert alive(haproxy), "its request is not answered yet"
        gate.opened.set()
        assert (await slow).text == "ok"
        assert await until(lambda: not alive(haproxy))
        assert other.haproxy != haproxy
        await stopped(other.process)


async def test_a_manager_that_died_leaves_no_second_haproxy(tmp_path: Path) -> None:
    async with proxied(tmp_path, {"a": Gate()}) as proxy:
        haproxy = proxy.haproxy
        other = await proxy.again()  # without a word about the first
        assert await until(lambda: proxy.process.returncode is not None and not alive(haproxy))
        assert await asked(other)
        await stopped(other.process)


async def test_haproxy_ends_with_ray(tmp_path: Path) -> None:
    """Ray's manager kills the supervisor and ends, then the node's raylet ends."""
    front = free_port()
    config = write_config(tmp_path, front, free_port(), {"a": free_port()})
    manager = f"exec 0<&-; {PROGRAM} -db -f {config} & echo $! >{tmp_path}/supervisor; wait; sleep 60"
    raylet = await asyncio.create_subprocess_exec(
        "sh", "-c", f"sh -c '{manager}' & echo $! >{tmp_path}/manager; wait; sleep 60",
        env={**os.environ, "MOA_PYTHON": sys.executable},
    )  # fmt: skip
    files = [tmp_path / "manager", tmp_path / "supervisor"]
    assert await until(lambda: all(path.exists() and path.read_text().strip() for path in files))
    manager_pid, supervisor = (int(path.read_text()) for path in files)

    async def ready() -> bool:
        return f"Pid: {supervisor}\n" in await ask_admin(str(tmp_path / "admin.sock"))

    assert await until(ready)
    haproxy = int((tmp_path / f"moa-{supervisor}.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    os.kill(manager_pid, signal.SIGKILL)
    await asyncio.sleep(0.5)
    assert alive(haproxy), "another manager may come"
    raylet.kill()
    await raylet.wait()
    assert await until(lambda: not alive(haproxy))
    assert await until(lambda: matching(tmp_path, "moa-binary*") == [])
    assert matching(tmp_path, "moa-*") + matching(tmp_path, "own.*") == []


def test_a_configuration_that_haproxy_refuses_ends_the_start(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port(), free_port(), {})
    config.write_text(f"{config.read_text()}    nonsense\n")
    done = subprocess.run(
        [PROGRAM, "-db", "-f", str(config)], env={**os.environ, "MOA_PYTHON": sys.executable},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "unknown keyword 'nonsense'" in done.stderr
    assert matching(tmp_path, "moa-*.cfg") == []


# The program, whose process is killed at once when it has started HAProxy: before it has written down which process.
KILLED = """
import os, signal, sys
from deployments.cluster.haproxy import program, supervisor

spawn = supervisor.spawn

def killed(programs, arguments):
    spawn(programs, arguments)
    os.kill(os.getpid(), signal.SIGKILL)

supervisor.spawn = killed
program.main(sys.argv[1:], os.environ)
"""


def running_in(folder: Path) -> list[int]:
    """Process ids of HAProxies and guards of a node, by its folder in their arguments."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [
        int(pid)
        for pid, *words in rows
        if str(folder) in words or any(word.startswith(f"{folder}/moa-") for word in words)
    ]


@pytest.mark.parametrize("removed", [False, True], ids=["unrecorded", "folder-removed"])
async def test_no_haproxy_outlives_ray_when_its_supervisor_is_killed_as_it_starts(
    tmp_path: Path, removed: bool
) -> None:
    """Serve's stop kills the supervisor of a reload that is under way."""
    folder = tmp_path / "node"
    folder.mkdir()
    (tmp_path / "killed.py").write_text(KILLED)
    config = write_config(folder, free_port(), free_port(), {})
    manager = f"{sys.executable} {tmp_path}/killed.py -db -f {config} -dR; sleep 60 & echo $! >{tmp_path}/sleep; wait"
    raylet = await asyncio.create_subprocess_exec(
        "sh", "-c", f"sh -c '{manager}' & echo $! >{tmp_path}/manager; wait; sleep 60",
        env={**os.environ, "MOA_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert await until(lambda: (tmp_path / "sleep").exists() and (tmp_path / "sleep").read_text().strip())
        assert await until(lambda: len(running_in(folder)) == 2), "HAProxy and its guard"
        assert matching(folder, "moa-*.pid") == []
        if removed:
            shutil.rmtree(folder)
    finally:
        for name in ("manager", "sleep"):  # the manager ends with its sleep
            os.kill(int((tmp_path / name).read_text()), signal.SIGKILL)
        raylet.kill()
        await raylet.wait()
    assert await until(lambda: running_in(folder) == [], within_s=30)

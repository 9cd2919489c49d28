"""Programs in the sandbox: those that pass, and those that its limits stop."""

import subprocess
import sys

import pytest

from evaluation.sandbox import CHILD, Sandbox, SandboxLimits

QUICK = SandboxLimits(timeout_s=20, cpu_s=1)


async def passes(program: str, limits: SandboxLimits | None = None) -> bool:
    return await Sandbox(limits or SandboxLimits()).passes(program)


@pytest.mark.parametrize("program", ["x = 1", "assert sum(range(4)) == 6", "print('out'); import math, json, re"])
async def test_a_program_that_ends_passes(program: str) -> None:
    assert await passes(program)


@pytest.mark.parametrize(
    "program",
    [
        "assert False",
        "1 / 0",
        "not python",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "raise SystemExit",
        "import socket; socket.socket().connect(('127.0.0.1', 22))",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
        "x = bytearray(3 * 2**30)",
        "open('big', 'wb').write(bytes(2**25))",
    ],
)
async def test_a_program_that_fails_or_reaches_for_more_does_not(program: str) -> None:
    assert not await passes(program)


async def test_a_program_that_does_not_end_is_stopped() -> None:
    assert not await passes("while True: pass", QUICK)
    assert not await passes("import time; time.sleep(60)", SandboxLimits(timeout_s=2))


async def test_a_program_sees_no_environment_and_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOA_SECRET", "x")
    assert await passes("import os; assert 'MOA_SECRET' not in os.environ; assert os.listdir('.') == []")


def namespaces_are_allowed() -> bool:
    probe = f"import runpy, sys; sys.exit(not runpy.run_path({str(CHILD)!r})['without_network']())"
    return subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


async def test_a_program_has_no_network_interface_where_the_kernel_allows_it() -> None:
    if not namespaces_are_allowed():
        pytest.skip("this kernel does not let processes make network namespaces")
    # Past Python's own events: the C library is asked directly.
    connect = (
        "import ctypes, struct\nlibc = ctypes.CDLL(None)\nfd = libc.socket(2, 2, 0)\n"
        "to = struct.pack('=HHI8x', 2, 0x3500, 0x0100007f)\nassert libc.connect(fd, to, 16) != 0"
    )
    assert await passes(connect)

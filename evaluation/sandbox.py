"""Execution of untrusted Python in a process of its own, with limits.

The process has a folder of its own, an empty environment, limits of CPU time, memory, files and file sizes, and a
deadline after which its whole process group is killed. It has no network where the kernel lets unprivileged processes
make network namespaces; elsewhere only Python's own calls of the network are refused. It can read files that everybody
may read. For programs of strangers, run the whole command in a container or virtual machine.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("sandbox_child.py")
MAX_OUTPUT_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Limits of one program."""

    timeout_s: float = 10.0
    cpu_s: int = 8
    memory_bytes: int = 2**30
    file_bytes: int = 2**24  # of each file that it writes


class Sandbox:
    """Runs programs within `limits`, one per CPU at a time, so that they do not take each other's time.

    Each event loop needs an object of its own.
    """

    def __init__(self, limits: SandboxLimits) -> None:
        self.limits = limits
        self._turns = asyncio.Semaphore(os.cpu_count() or 1)

    async def passes(self, program: str) -> bool:
        """Run `program`; True if it ends by itself without an exception.

        A program that ends the process itself (`sys.exit`, `os._exit`) has not reached its end, and does not pass. The
        wait for its turn is not part of its time.
        """
        token = secrets.token_hex(16)
        given = {
            "program": program,
            "token": token,
            "memory_bytes": self.limits.memory_bytes,
            "cpu_s": self.limits.cpu_s,
            "file_bytes": self.limits.file_bytes,
        }
        async with self._turns:
            code, output = await _run(json.dumps(given).encode(), self.limits.timeout_s)
        return code == 0 and output.rstrip().endswith(token.encode())


async def _run(given: bytes, timeout_s: float) -> tuple[int | None, bytes]:
    """Run the child with its input; return its exit code, and the end of its output. `None`: it was too slow."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        os.chmod(folder, 0o777)  # the program may run as another user
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(CHILD),
            cwd=folder,
            env={},
            start_new_session=True,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(timeout_s):
                output = await _end(process, given)
        except TimeoutError:
            return None, b""
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode, output


async def _end(process: asyncio.subprocess.Process, given: bytes) -> bytes:
    """Give the process its input and return the end of its output."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
        process.stdin.close()
    output = b""
    while piece := await process.stdout.read(65536):
        output = (output + piece)[-MAX_OUTPUT_BYTES:]
    await process.wait()
    return output

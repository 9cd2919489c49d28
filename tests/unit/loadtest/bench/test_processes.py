import asyncio
import os
import signal

from loadtest.bench.processes import run


def test_a_benchmark_told_to_end_ends_its_servers_first() -> None:
    ended: list[str] = []

    async def benchmark() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            ended.append("servers")

    assert not run(benchmark())
    assert ended == ["servers"]

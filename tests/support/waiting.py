"""Waiting for what another task, thread or process does."""

import asyncio
from collections.abc import Callable

GUARD_S = 120.0  # against a hang: no machine is so slow


async def until(met: Callable[[], object]) -> None:
    """Return as soon as the condition is met; fail after `GUARD_S`."""
    async with asyncio.timeout(GUARD_S):
        while not met():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)

"""Waiting for what another task, thread or process does."""

import asyncio
import inspect
from collections.abc import Callable

GUARD_S = 120.0  # against a hang: no machine is so slow


async def until(met: Callable[[], object]) -> None:
    """Return as soon as the condition is met; fail after `GUARD_S`. `met` may be a coroutine function."""
    async with asyncio.timeout(GUARD_S):
        while True:
            result = met()
            if await result if inspect.isawaitable(result) else result:
                return
            await asyncio.sleep(0.005)

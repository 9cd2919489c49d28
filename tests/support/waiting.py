"""Waiting for what another task, thread or process does."""

import asyncio
import inspect
from collections.abc import Callable

GUARD_S = 120.0  # against a hang: no machine is so slow


async def until(met: Callable[[], object], limit_s: float = GUARD_S) -> None:
    """Return as soon as the condition is met; fail after `limit_s`. `met` may be a coroutine function."""
    async with asyncio.timeout(limit_s):
        while True:
            result = met()
            if await result if inspect.isawaitable(result) else result:
                return
            await asyncio.sleep(0.005)

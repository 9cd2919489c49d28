"""Fewer, larger pieces: the first at once, later ones together.

An item that crosses Ray costs about as much as a small model's token. Nothing here waits on a timer: a piece is
held back only while the next one comes sooner than `interval_s`, so a slow engine streams token by token.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from serving.types import Delta

INTERVAL_S = 0.02  # below what a reader notices
MAX_DELTAS = 8


async def coalesced(
    deltas: AsyncGenerator[Delta, None] | AsyncIterator[Delta],
    *,
    interval_s: float = INTERVAL_S,
    max_deltas: int = MAX_DELTAS,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[tuple[Delta, ...], None]:
    """Groups of `deltas`, the deltas of one choice merged.

    A group leaves when it is the first of its choice, `interval_s` old, `max_deltas` long, or ends a choice.
    """
    held: dict[int, Delta] = {}
    started: set[int] = set()
    count, left_at = 0, clock()
    async with aclosing(deltas) as stream:  # type: ignore[type-var]
        async for delta in stream:
            before = held.get(delta.index)
            held[delta.index] = delta if before is None else _merged(before, delta)
            count += 1
            now = clock()
            first = delta.index not in started
            if first or delta.finish_reason is not None or count >= max_deltas or now - left_at >= interval_s:
                started.add(delta.index)
                yield tuple(held.values())
                held.clear()
                count, left_at = 0, clock()
    if held:
        yield tuple(held.values())


def _merged(before: Delta, after: Delta) -> Delta:
    logprobs = before.logprobs
    if after.logprobs is not None:
        logprobs = (*(logprobs or ()), *after.logprobs)
    return Delta(before.text + after.text, before.index, logprobs, after.finish_reason, after.usage, after.timing)

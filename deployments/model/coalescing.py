"""Coalescing of deltas into fewer, larger groups; the first delta is sent at once.

An item sent through Ray costs about as much as a token of a small model. No timer is involved: deltas are held back
only while they arrive within `interval_s` of each other, so a slow engine streams token by token.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from serving.conversation import ToolCallDelta
from serving.types import Delta

INTERVAL_S = 0.02  # too short for a reader to notice
MAX_DELTAS = 8


async def coalesced(
    deltas: AsyncGenerator[Delta, None],
    *,
    interval_s: float = INTERVAL_S,
    max_deltas: int = MAX_DELTAS,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[tuple[Delta, ...], None]:
    """Yield `deltas` in groups, with the deltas of one choice merged.

    A group is sent when it holds a choice's first delta or its end, has `max_deltas`, or is `interval_s` old.
    """
    held: dict[int, Delta] = {}
    started: set[int] = set()
    count, left_at = 0, clock()
    async with aclosing(deltas) as stream:
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
    return Delta(
        before.text + after.text,
        before.index,
        logprobs,
        after.finish_reason,
        after.usage,
        after.timing,
        reasoning=before.reasoning + after.reasoning,
        tool_calls=merged_pieces((*before.tool_calls, *after.tool_calls)),
        stop=after.stop,
        running_usage=after.running_usage,
    )


def merged_pieces(pieces: tuple[ToolCallDelta, ...]) -> tuple[ToolCallDelta, ...]:
    """One piece per tool call, in the order of the first pieces."""
    if len(pieces) < 2:
        return pieces
    calls: dict[int, ToolCallDelta] = {}
    for piece in pieces:
        known = calls.get(piece.index)
        calls[piece.index] = piece if known is None else replace(known, arguments=known.arguments + piece.arguments)
    return tuple(calls.values())

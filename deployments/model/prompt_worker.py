"""Threads in which prompts are written, so that no stream waits for them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, TypeVar

from deployments.model.fair_places import FairPlaces
from deployments.model.prompt_budget import PromptAbandoned, PromptBudget
from serving.conversation import Message, Tool

T = TypeVar("T")
LONG_CHARACTERS = 4_000  # a millisecond or two of a tokenizer
SLOW_CHARACTERS = 100_000  # a tenth of a second
THREADS = 4


class PromptWorker:
    """Threads of one replica, which tenants get in turns. Work for which nobody waits any more ends or never begins.

    One thread takes no slow work, so that other work never waits for that.
    """

    def __init__(self, threads: int = THREADS) -> None:
        """Start up to `threads` threads."""
        self._pool = ThreadPoolExecutor(threads, "prompts")
        self._threads = FairPlaces(threads)
        self._slow = FairPlaces(max(1, threads - 1))
        self._pending = 0

    @property
    def pending(self) -> int:
        """Prompts that are being written or wait for a thread, those for which nobody waits among them."""
        return self._pending

    async def run(self, characters: int, budget: PromptBudget, work: Callable[[], T], tenant: str = "") -> T:
        """Result of `work`; in a thread if it is on many `characters`. A cancelled caller abandons `budget`.

        `tenant`: id of the caller's; "" for calls of the server itself, and if all callers are one tenant.
        """
        if characters < LONG_CHARACTERS:
            return work()
        loop = asyncio.get_running_loop()
        held: list[FairPlaces] = []

        def checked() -> T:
            budget.check()
            return work()

        def end() -> None:
            self._pending -= 1
            for places in held:
                places.give(tenant)

        self._pending += 1
        try:
            for places in (self._slow, self._threads) if characters >= SLOW_CHARACTERS else (self._threads,):
                await places.take(tenant)
                held.append(places)
        except asyncio.CancelledError:
            end()
            raise
        future = self._pool.submit(checked)
        future.add_done_callback(lambda _: _call_soon(loop, end))
        try:
            return await asyncio.wrap_future(future)
        except (asyncio.CancelledError, CancelledError):
            budget.abandon()
            future.cancel()  # if no thread has begun with it
            raise
        except PromptAbandoned:  # only its own caller abandons a budget
            raise asyncio.CancelledError from None


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def characters(messages: Iterable[Message], tools: Iterable[Tool] = (), args: Mapping[str, Any] | None = None) -> int:
    """Characters of everything that a chat template reads; those beyond `LONG_CHARACTERS` may be left out."""
    count = 0
    for message in messages:
        count += len(message.content) + len(message.reasoning or "") + len(message.name or "")
        count += sum(len(call.arguments) + len(call.name) for call in message.tool_calls)
    waiting: list[Any] = [args] if args else []
    for tool in tools:
        waiting += [tool.name, tool.description, tool.parameters]
    while waiting and count < LONG_CHARACTERS:
        value = waiting.pop()
        count += len(value) if isinstance(value, str) else 1
        if isinstance(value, Mapping):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
    return count

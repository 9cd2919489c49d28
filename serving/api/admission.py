"""Admission: limits on requests in progress and on request bodies being read, shared fairly between callers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from serving.api.keys import Caller
from serving.errors import Overloaded
from serving.telemetry import Observer

Arguments = ParamSpec("Arguments")
Parsed = TypeVar("Parsed")
IN_FLIGHT = 256  # limit if the capacity of the engines is unknown


class FairLimit:
    """Limit on what all callers hold together.

    A caller that holds less than an equal share may hold that share in any case, so that no caller uses up the limit
    for the others. Together they may hold more than the limit, until those with more than their share have ended some.
    """

    def __init__(self, limit: int) -> None:
        """Limit the sum of what callers hold to `limit`."""
        self.limit = limit
        self.total = 0
        self.held: Counter[str] = Counter()  # by name of the caller

    def allows(self, caller: str, amount: int = 1) -> bool:
        """True if `caller` may hold `amount` more now."""
        if self.total + amount <= self.limit:
            return True
        callers = len({*self.held, caller})
        return callers > 1 and self.held[caller] + amount <= max(1, self.limit // callers)

    def add(self, caller: str, amount: int) -> None:
        """Count what `caller` holds; a negative `amount`: no longer."""
        self.total += amount
        self.held[caller] += amount
        if not self.held[caller]:
            del self.held[caller]


class Admission:
    """Limit on the requests in progress. There is no queue: a caller refused at once can try another server."""

    def __init__(self, limit: int, retry_after_s: float, observer: Observer | None = None) -> None:
        """Admit `limit` requests at a time; refusals tell the caller to wait `retry_after_s`."""
        self.requests = FairLimit(limit)
        self.retry_after_s = retry_after_s
        self._observer = observer or Observer()

    @property
    def in_flight(self) -> int:
        """Requests in progress."""
        return self.requests.total

    def check(self, caller: Caller) -> None:
        """Raise `Overloaded` if the caller's limit or that of all is reached: cheaper than reading the body first."""
        own = self.requests.held[caller.name]
        if caller.max_in_flight is not None and own >= caller.max_in_flight:
            message = f"The key '{caller.name}' has {own} requests in progress, its limit; wait for one to end."
        elif not self.requests.allows(caller.name):
            message = f"The server is answering {self.in_flight} requests, its limit; try again later."
        else:
            return
        self._observer.caller_refused(caller.name, caller.priority_class)
        raise Overloaded(message, self.retry_after_s)

    @contextmanager
    def permit(self, caller: Caller, count: int = 1) -> Iterator[None]:
        """Count requests in progress while the block runs. Raises `Overloaded` if a limit is reached.

        `count`: prompts of one request. Together they may exceed the limit: a request of many could never begin else.
        """
        self.check(caller)
        self._add(caller, count)
        self._observer.caller_admitted(caller.name, caller.priority_class, count)
        try:
            yield
        finally:
            self._add(caller, -count)

    def _add(self, caller: Caller, count: int) -> None:
        self.requests.add(caller.name, count)
        self._observer.caller_running(caller.name, caller.priority_class, self.requests.held[caller.name])


class BodyBudget:
    """Limit on the bytes of request bodies being read, over all connections; admission comes only after parsing."""

    def __init__(self, limit_bytes: int, retry_after_s: float) -> None:
        """Hold at most `limit_bytes` at a time; refusals tell the caller to wait `retry_after_s`."""
        self.bodies = FairLimit(limit_bytes)
        self.retry_after_s = retry_after_s

    @property
    def held_bytes(self) -> int:
        """Size of all bodies being read."""
        return self.bodies.total

    @contextmanager
    def body(self, caller: Caller) -> Iterator[Callable[[int], None]]:
        """Count one body while the block runs.

        Yields:
            A function to call with the size of each piece that arrives; it raises `Overloaded` beyond the limit.
        """
        own_bytes = 0

        def add(size_bytes: int) -> None:
            nonlocal own_bytes
            if not self.bodies.allows(caller.name, size_bytes):
                raise Overloaded("The server is reading too many request bodies; try again later.", self.retry_after_s)
            own_bytes += size_bytes
            self.bodies.add(caller.name, size_bytes)

        try:
            yield add
        finally:
            self.bodies.add(caller.name, -own_bytes)


class ParsingTurns:
    """One large body at a time for each caller: several at once would hold the interpreter lock one after the other."""

    def __init__(self) -> None:
        """Begin without any body being parsed."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by name, while in use

    async def parsed(
        self,
        caller: Caller,
        parse: Callable[Arguments, Parsed],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Parsed:
        """Run `parse` in a thread once no other body of the caller is being parsed. Raises as `parse`.

        A thread cannot be stopped: if the request is cancelled, the caller's next body still waits for it.
        """
        lock = self._locks.setdefault(caller.name, asyncio.Lock())
        async with lock:
            thread = asyncio.ensure_future(asyncio.to_thread(parse, *arguments, **options))
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                await asyncio.wait({thread})
                raise

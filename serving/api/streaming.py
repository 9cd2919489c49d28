"""The work behind one response: a task that ends with its answer, its deadline or its caller."""

import asyncio
from collections.abc import Coroutine
from typing import Generic, Self, TypeVar

from serving import sse
from serving.api.exchange import ClientGone, HttpExchange
from serving.errors import DeadlineExceeded, EngineFailed

T = TypeVar("T")
# An engine has the same deadline. It gets a moment to end the work itself, and to tell why: what is cut off from here
# cannot know whether it was the time or the caller that ran out.
LONGER, AT_MOST_S = 0.25, 1.0


class RequestTask(Generic[T]):
    """Runs `coroutine` in a task of its own, so that an engine's stream is opened, driven and closed in one place.

    As a context manager it ends with its block: nothing of it runs on afterwards. A caller that hangs up cancels it.
    """

    def __init__(self, call: HttpExchange, model: str, coroutine: Coroutine[None, None, T], deadline_s: float) -> None:
        self.model = model
        self._coroutine = coroutine
        self.task = asyncio.create_task(self._limited(deadline_s))
        self._gone = asyncio.create_task(call.disconnected())
        self._gone.add_done_callback(lambda _: self._stop())

    def _stop(self) -> None:
        """Cancel the work, but once: a second time would break off its own cleaning up."""
        if not self.task.cancelling():
            self.task.cancel()

    async def _limited(self, deadline_s: float) -> T:
        try:
            async with asyncio.timeout(deadline_s + min(deadline_s * LONGER, AT_MOST_S)) as limit:
                return await self._coroutine
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded(f"'{self.model}'", deadline_s) from None
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks: set[asyncio.Task[T] | asyncio.Task[None]] = {self.task, self._gone}
        self._stop()
        self._gone.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen, or asyncio reports it as forgotten
        self._coroutine.close()  # a task cancelled before its first step has not begun it

    def result(self) -> T:
        """The answer, once the task is done.

        Raises:
            ClientGone: the caller hung up.
            EngineFailed: the engine was cancelled from elsewhere.
            MoaError: what the work raised.
        """
        if not self.task.cancelled():
            return self.task.result()
        if self._gone.done():
            raise ClientGone
        raise EngineFailed(self.model, "its work was cancelled")


FULL_BYTES = 2**20  # a caller that reads this much too slowly holds the work up


class SendBuffer:
    """Whatever has come since the last `take` leaves as one piece: no wait is added, and a burst is one write.

    `first` is done once something beyond `prelude` has been put, so that a response can wait for it.
    """

    def __init__(self, prelude: bytes, keep_alive_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces = [prelude]
        self._size = len(prelude)
        self._closed = False
        self._taker: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None
        self.first: asyncio.Future[None] = self._loop.create_future()
        self._keep_alive_s = keep_alive_s
        self._put_at = self._loop.time()
        self._timer = self._loop.call_later(keep_alive_s, self._tick)

    def put(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        self._put_at = self._loop.time()
        if not self.first.done():
            self.first.set_result(None)
        self._wake_taker()

    async def room(self) -> None:
        """Return when less than `FULL_BYTES` are waiting. For one putter."""
        while self._size >= FULL_BYTES and not self._closed:
            self._putter = self._loop.create_future()
            await self._putter

    def close(self) -> None:
        """Nothing more will come; `take` gives what is left, then None."""
        self._closed = True
        self._timer.cancel()
        self._wake_taker()

    async def take(self) -> bytes | None:
        """All that is waiting, as soon as there is any; None at the end. For one taker."""
        while not self._pieces:
            if self._closed:
                return None
            self._taker = self._loop.create_future()
            await self._taker
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._size = 0
        if self._putter is not None and not self._putter.done():
            self._putter.set_result(None)
        return data

    def _wake_taker(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    def _tick(self) -> None:
        silent_s = self._loop.time() - self._put_at
        if silent_s >= self._keep_alive_s:
            # Not `put`: a comment is not the first item. One waiting comment is enough for a caller that reads slowly.
            if not self._pieces:
                self._pieces.append(sse.KEEP_ALIVE)
                self._wake_taker()
            self._put_at, silent_s = self._loop.time(), 0.0
        self._timer = self._loop.call_later(self._keep_alive_s - silent_s, self._tick)

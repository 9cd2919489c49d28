"""Tasks that compute responses, and the buffer between a task and the client."""

import asyncio
from collections.abc import Coroutine
from typing import Generic, Self, TypeVar

from serving import sse
from serving.api.exchange import ClientGone, HttpExchange
from serving.errors import DeadlineExceeded, EngineFailed

T = TypeVar("T")
# The engine has the same deadline. The API waits a little longer, so that the engine can end the request itself and
# report it as a timeout: cancelled from here, it could not tell a deadline from a client that left.
EXTRA_SHARE, MAX_EXTRA_S = 0.25, 1.0
FULL_BYTES = 2**20  # size of a full buffer: a client that reads more slowly slows the engine down


class RequestTask(Generic[T]):
    """Runs a coroutine in a task of its own, so that an engine's stream is opened, read and closed in one task.

    A context manager: the task has ended when the block ends. It is cancelled if the client disconnects.
    """

    def __init__(
        self, exchange: HttpExchange, model: str, coroutine: Coroutine[None, None, T], deadline_s: float
    ) -> None:
        """Start `coroutine`, which is cancelled a little later than `deadline_s`; `model` is named in errors."""
        self.model = model
        self._coroutine = coroutine
        self.task = asyncio.create_task(self._limited(deadline_s))
        self._disconnect = asyncio.create_task(exchange.disconnected())
        self._disconnect.add_done_callback(lambda _: self._cancel())

    def _cancel(self) -> None:
        """Cancel the task once: a second cancellation would interrupt its cleanup."""
        if not self.task.cancelling():
            self.task.cancel()

    async def _limited(self, deadline_s: float) -> T:
        try:
            async with asyncio.timeout(deadline_s + min(deadline_s * EXTRA_SHARE, MAX_EXTRA_S)) as limit:
                return await self._coroutine
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded(f"'{self.model}'", deadline_s) from None
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks: set[asyncio.Task[T] | asyncio.Task[None]] = {self.task, self._disconnect}
        self._cancel()
        self._disconnect.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # retrieved, or asyncio logs it as never retrieved
        self._coroutine.close()  # a task that is cancelled before its first step has not started it

    def result(self) -> T:
        """Result of the coroutine, once the task is done.

        Raises:
            ClientGone: the client closed the connection.
            EngineFailed: the engine's task was cancelled from elsewhere.
            MoaError: the coroutine's own error.
        """
        if not self.task.cancelled():
            return self.task.result()
        if self._disconnect.done():
            raise ClientGone
        raise EngineFailed(self.model, "its task was cancelled")


class SendBuffer:
    """Bytes waiting to be sent. `get` returns all of them joined: nothing is delayed, and a burst is one write.

    Attributes:
        first_item: done once something has been put, so that the response can wait for it.
    """

    def __init__(self, prelude: bytes, keep_alive_s: float) -> None:
        """Start with `prelude`; after `keep_alive_s` without an item, a comment is sent."""
        self._loop = asyncio.get_running_loop()
        self._pieces = [prelude]
        self._size = len(prelude)
        self._closed = False
        self._getter: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None
        self.first_item: asyncio.Future[None] = self._loop.create_future()
        self._keep_alive_s = keep_alive_s
        self._put_at = self._loop.time()
        self._timer = self._loop.call_later(keep_alive_s, self._tick)

    def put(self, data: bytes) -> None:
        """Add one item."""
        self._pieces.append(data)
        self._size += len(data)
        self._put_at = self._loop.time()
        if not self.first_item.done():
            self.first_item.set_result(None)
        self._wake_getter()

    async def wait_for_room(self) -> None:
        """Return when less than `FULL_BYTES` are waiting. For one task at a time."""
        while self._size >= FULL_BYTES and not self._closed:
            self._putter = self._loop.create_future()
            await self._putter

    def close(self) -> None:
        """End the buffer: `get` returns the rest, then None."""
        self._closed = True
        self._timer.cancel()
        self._wake_getter()

    async def get(self) -> bytes | None:
        """Wait for data and return all of it; None at the end. For one task at a time."""
        while not self._pieces:
            if self._closed:
                return None
            self._getter = self._loop.create_future()
            await self._getter
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._size = 0
        if self._putter is not None and not self._putter.done():
            self._putter.set_result(None)
        return data

    def _wake_getter(self) -> None:
        if self._getter is not None and not self._getter.done():
            self._getter.set_result(None)

    def _tick(self) -> None:
        silent_s = self._loop.time() - self._put_at
        if silent_s >= self._keep_alive_s:
            # Not `put`: a comment is not an item. One waiting comment is enough for a client that reads slowly.
            if not self._pieces:
                self._pieces.append(sse.KEEP_ALIVE)
                self._wake_getter()
            self._put_at, silent_s = self._loop.time(), 0.0
        self._timer = self._loop.call_later(self._keep_alive_s - silent_s, self._tick)

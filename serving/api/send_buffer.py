"""The buffer between the task that computes a stream and the client that reads it."""

import asyncio

from serving import sse

FULL_BYTES = 2**20  # size of a full buffer: a client that reads more slowly slows the engine down


class SendBuffer:
    """Bytes waiting to be sent. `get` returns all of them joined: nothing is delayed, and a burst is one write.

    Attributes:
        first_item: done once something has been put, so that the response can wait for it.
    """

    def __init__(self, prelude: bytes, keep_alive_s: float) -> None:
        """Start with `prelude`; after `keep_alive_s` without an item, a comment is sent."""
        self._loop = asyncio.get_running_loop()
        self._pieces = [prelude] if prelude else []
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

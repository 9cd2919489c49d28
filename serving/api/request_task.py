"""The task that computes the answer to one request."""

import asyncio
from collections.abc import Coroutine
from typing import Generic, Self, TypeVar

from serving.api.exchange import ClientGone, HttpExchange
from serving.errors import DeadlineExceeded, EngineFailed

T = TypeVar("T")
# The engine has the same deadline. The API waits a little longer, so that the engine can end the request itself and
# report it as a timeout: cancelled from here, it could not tell a deadline from a client that left.
EXTRA_SHARE, MAX_EXTRA_S = 0.25, 1.0


class RequestTask(Generic[T]):
    """Runs a coroutine in a task of its own, so that an engine's stream is opened, read and closed in one task.

    A context manager: the task has ended when the block ends. It is cancelled if the client disconnects.
    """

    def __init__(
        self, exchange: HttpExchange, model: str, coroutine: Coroutine[None, None, T], deadline_s: float
    ) -> None:
        """Start `coroutine`, which is cancelled a little later than what is left of `deadline_s`.

        `model` is named in errors.
        """
        self.model = model
        self._coroutine = coroutine
        self.task = asyncio.create_task(self._limited(exchange.left_s(deadline_s)))
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

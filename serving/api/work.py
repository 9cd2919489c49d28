"""The work behind one response: a task that ends with its answer, its deadline or its caller."""

import asyncio
from collections.abc import Coroutine
from typing import Generic, Self, TypeVar

from serving.api.call import Call, ClientGone
from serving.errors import DeadlineExceeded, EngineFailed

T = TypeVar("T")
# An engine has the same deadline. It gets a moment to end the work itself, and to tell why: what is cut off from here
# cannot know whether it was the time or the caller that ran out.
LONGER, AT_MOST_S = 0.25, 1.0


class Work(Generic[T]):
    """Runs `coroutine` in a task of its own, so that an engine's stream is opened, driven and closed in one place.

    As a context manager it ends with its block: nothing of it runs on afterwards. A caller that hangs up cancels it.
    """

    def __init__(self, call: Call, model: str, coroutine: Coroutine[None, None, T], deadline_s: float) -> None:
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

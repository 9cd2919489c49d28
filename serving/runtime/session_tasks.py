"""Tasks between two requests of a session: at most one each, ended by the session's next request."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

MAX_RUNNING = 32  # more are not started: the engines are busy, and have not begun the ones that run


class SessionTasks:
    """Tasks by session. They outlive the request that starts them."""

    def __init__(self, max_running: int = MAX_RUNNING) -> None:
        """Run at most `max_running` tasks at a time, half of them for one tenant among several."""
        self._max_running = max_running
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._scopes: dict[str, str] = {}  # tenant of each task's session

    def __len__(self) -> int:
        """Number of tasks that run."""
        return len(self._tasks)

    def start(
        self, session: str, work: Callable[[], Coroutine[Any, Any, None]], within_s: float, scope: str = ""
    ) -> None:
        """Run `work` in place of the session's former task, for at most `within_s`; nothing if too many run.

        `scope`: of the tenant; "" if all callers are one.
        """
        self.cancel(session)
        own = sum(other == scope for other in self._scopes.values())
        if len(self._tasks) >= self._max_running or (scope and own >= self._max_running // 2):
            return

        async def bounded() -> None:
            async with asyncio.timeout(within_s):
                await work()

        task = self._tasks[session] = asyncio.create_task(bounded(), name=f"between requests of {session}")
        self._scopes[session] = scope
        task.add_done_callback(lambda done: self._ended(session, done))

    def cancel(self, session: str) -> None:
        """End the session's task, if it has one, without waiting for it."""
        if (task := self._tasks.pop(session, None)) is not None:
            del self._scopes[session]
            task.cancel()

    def _ended(self, session: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(session) is task:
            del self._tasks[session], self._scopes[session]
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, TimeoutError):
            asyncio.get_running_loop().call_exception_handler({"message": task.get_name(), "exception": error})

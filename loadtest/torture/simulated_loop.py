"""An event loop with a simulated clock: durations are exact, whatever else runs on the machine."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time advances only when nothing is left to run, then at once to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def skip(timeout_s: float | None) -> Any:
            events = select(0)
            if not events:
                assert timeout_s is not None, "the test waits for something that never happens"
                self._now_s += timeout_s
            return events

        self._selector.select = skip  # type: ignore[attr-defined]

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._now_s


async def simulated(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Result of `work()`, run in a thread on a loop of its own with a simulated clock."""

    def run() -> T:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            return runner.run(work())

    return await asyncio.to_thread(run)

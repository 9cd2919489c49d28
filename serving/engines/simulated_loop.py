"""An event loop with a simulated clock: durations are exact, whatever else runs on the machine."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SimulatedSelector(selectors.DefaultSelector):
    """A selector that does not wait: if nothing is ready, its clock advances by the timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Events that are ready, without waiting for any."""
        events = super().select(0)
        if not events:
            assert timeout is not None, "this run waits for something that never happens"
            self.now_s += timeout
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time advances only when nothing is left to run, then at once to the next timer."""

    def __init__(self) -> None:
        self._clock = SimulatedSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._clock.now_s


async def simulated(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Result of `work()`, run in a thread on a loop of its own with a simulated clock."""

    def run() -> T:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            return runner.run(work())

    return await asyncio.to_thread(run)

"""An event loop with a simulated clock, for tests of durations and deadlines."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


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


def simulated_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own with a simulated clock: sleeps take no real time and are exact."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run

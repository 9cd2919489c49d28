"""RequestTask ends with its block, and has the time to clean up."""

import asyncio

from serving.api.exchange import HttpExchange
from serving.api.streaming import RequestTask


class Tidy:
    """RequestTask whose cleaning up takes a few turns of the loop."""

    def __init__(self) -> None:
        self.begun, self.ending, self.clean = asyncio.Event(), asyncio.Event(), False

    async def __call__(self) -> None:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            for _ in range(5):
                await asyncio.sleep(0)
            self.clean = True


def call_of(left: asyncio.Event) -> HttpExchange:
    """A call whose caller hangs up when `left` is set."""

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    return HttpExchange({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, None)  # type: ignore[arg-type]


async def test_work_that_is_left_early_cleans_up_to_the_end() -> None:
    tidy = Tidy()
    async with RequestTask(call_of(asyncio.Event()), "m", tidy(), 60):
        await tidy.begun.wait()
    assert tidy.clean


async def test_leaving_work_that_the_caller_has_ended_does_not_break_its_end_off() -> None:
    tidy, left = Tidy(), asyncio.Event()
    async with RequestTask(call_of(left), "m", tidy(), 60):
        await tidy.begun.wait()
        left.set()
        await tidy.ending.wait()
    assert tidy.clean

"""The order of the calls of a recorded run, in which a second run of the recipe repeats it."""

import asyncio
from collections.abc import Iterable

from serving.replay.traced import TracedCall

# Times of a trace are rounded to 0.01 ms, so that a call may seem to start before the end of the call that caused it.
TOLERANCE_MS = 0.05

Place = tuple[int, int]


class Score:
    """Recorded calls by place. A call ends when all that ended before it have ended, and all before it have started.

    A recipe numbers its layers as it starts them. Parts of a plan that depend on others start when those end, so that
    equal numbers need equal orders.
    """

    def __init__(self, calls: Iterable[TracedCall]) -> None:
        self.calls: dict[Place, TracedCall] = {call.place: call for call in calls}
        self.started: list[Place] = []  # in the order of the second run
        self._ended: set[Place] = set()
        self._changed = asyncio.Condition()

    async def play(self, place: Place) -> TracedCall:
        """Start the call at `place` and return it when it ends. Raises `KeyError` if there is none."""
        call = self.calls[place]
        async with self._changed:
            self.started.append(place)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._may_end(call))
            self._ended.add(place)
            self._changed.notify_all()
        return call

    def _may_end(self, call: TracedCall) -> bool:
        assert call.ended_ms is not None  # see `TracedAnswer.problem`
        for other in self.calls.values():
            assert other.started_ms is not None
            assert other.ended_ms is not None
            if other.started_ms < call.ended_ms - TOLERANCE_MS and other.place not in self.started:
                return False
            if (other.ended_ms, other.place) < (call.ended_ms, call.place) and other.place not in self._ended:
                return False
        return True

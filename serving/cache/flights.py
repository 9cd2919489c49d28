"""Flights: equal requests of one process, of which one looks for the answer or computes it while the others wait."""

import asyncio
from dataclasses import dataclass, field

from serving.types import Completion


@dataclass(eq=False)
class Flight:
    """One search for an answer.

    Attributes:
        ended: set at the end.
        answer: found or computed; None: there is none that others may have.
        left: its caller left before the end, so that another request should take its place.
        waiting: requests that wait for the end.
    """

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Completion | None = None
    left: bool = False
    waiting: int = 0

    async def wait(self, limit_s: float) -> bool:
        """Wait for the end. False if it does not come within `limit_s`."""
        self.waiting += 1
        try:
            async with asyncio.timeout(limit_s):
                await self.ended.wait()
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
        return True


class Flights:
    """Flights in progress by key."""

    def __init__(self) -> None:
        """Begin without flights."""
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        """Number of flights in progress."""
        return len(self._flights)

    @property
    def waiting(self) -> int:
        """Number of requests that wait for others."""
        return sum(flight.waiting for flight in self._flights.values())

    def get(self, key: str) -> Flight | None:
        """The flight in progress."""
        return self._flights.get(key)

    def begin(self, key: str) -> Flight:
        """A new flight, for which others wait from now on."""
        flight = self._flights[key] = Flight()
        return flight

    def end(self, key: str, flight: Flight, answer: Completion | None = None, *, left: bool = False) -> None:
        """End a flight, once: all that wait for it continue."""
        if flight.ended.is_set():
            return
        flight.answer, flight.left = answer, left
        flight.ended.set()
        if self._flights.get(key) is flight:
            del self._flights[key]

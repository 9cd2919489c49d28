"""Places for lines in progress, shared fairly between the owners of batches."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Places:
    """Lines that may be in progress, and for how long a place stays free after each."""

    limit: int
    rest_s: float


class Slots:
    """A number of places that changes. A free one goes to the waiting owner that has the fewest.

    Attributes:
        limit: places; fewer than are taken means that none is given until enough are free.
        rest_s: time for which a place stays free after it was taken.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.rest_s = limit, 0.0
        self._resting = 0
        self._taken: Counter[str] = Counter()
        self._most: dict[str, int | None] = {}  # places of an owner, as given last; None: any number
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @property
    def taken(self) -> int:
        """Places in use."""
        return self._taken.total()

    def set_places(self, places: Places) -> None:
        """Change the number of places, and their rest."""
        self.limit, self.rest_s = places.limit, places.rest_s
        self._give()

    @asynccontextmanager
    async def place(self, owner: str, at_most: int | None = None) -> AsyncIterator[None]:
        """Wait for a place, and hold it for the block. `at_most`: places of this owner at the same time."""
        self._most[owner] = at_most
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free(owner)
            raise
        try:
            yield
        finally:
            if self.rest_s:
                self._resting += 1
                asyncio.get_running_loop().call_later(self.rest_s, self._wake)
            self._free(owner)

    def _free(self, owner: str) -> None:
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]
            if owner not in self._waiting:
                self._most.pop(owner, None)
        self._give()

    def _wake(self) -> None:
        self._resting -= 1
        self._give()

    def _give(self) -> None:
        while self.taken + self._resting < self.limit and (
            owners := [one for one in self._waiting if self._has_room(one)]
        ):
            owner = min(owners, key=lambda one: self._taken[one])
            turns = self._waiting[owner]
            turn = turns.popleft()
            if not turns:
                del self._waiting[owner]
            if not turn.done():
                self._taken[owner] += 1
                turn.set_result(None)

    def _has_room(self, owner: str) -> bool:
        most = self._most.get(owner)
        return most is None or self._taken[owner] < most

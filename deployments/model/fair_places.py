"""Fair order of a bounded number of places: tenants get them in turns, however many calls of each wait."""

import asyncio
from collections import Counter, OrderedDict


class FairPlaces:
    """Places of one event loop.

    The next place is for the tenant that holds the fewest; of those, for the one that has got none for longest. Each
    tenant's own calls keep their order.
    """

    def __init__(self, places: int, *, kept: int = 0) -> None:
        """Offer `places`, of which the last `kept` are for tenants that hold none."""
        self.free = places
        self._kept = kept
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, OrderedDict[asyncio.Future[None], None]] = {}
        self._turns = 0
        self._last_turn: dict[str, int] = {}  # of each tenant

    async def take(self, tenant: str) -> None:
        """Wait for a place. `tenant`: id; "" if all callers are one. `give` must follow, unless this is cancelled."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, OrderedDict())[place] = None
        self._hand_out()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # the place came, and the caller has gone
                self.give(tenant)
            else:
                self._leave(tenant, place)
            raise

    def give(self, tenant: str) -> None:
        """Give a place of `tenant` back."""
        self.free += 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        self._hand_out()
        if not self._held:  # nor does anybody wait
            self._last_turn.clear()

    def _leave(self, tenant: str, place: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(tenant)
        if waiting is not None:
            waiting.pop(place, None)
            if not waiting:
                del self._waiting[tenant]

    def _hand_out(self) -> None:
        while self.free:
            able = [tenant for tenant in self._waiting if self.free > self._kept or not self._held[tenant]]
            if not able:
                return
            tenant = min(able, key=lambda one: (self._held[one], self._last_turn.get(one, 0)))
            place, _ = self._waiting[tenant].popitem(last=False)
            if not self._waiting[tenant]:
                del self._waiting[tenant]
            if not place.done():  # else cancelled
                self.free -= 1
                self._turns += 1
                self._last_turn[tenant] = self._turns
                self._held[tenant] += 1
                place.set_result(None)

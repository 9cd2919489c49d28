"""Counters of limits: shared by all replicas through the store, and those of this replica alone."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from serving.failures import log_exception
from serving.store.counters import Added, Addition
from serving.store.errors import StoreUnavailable
from serving.store.local_counters import LocalCounters
from serving.store.spending import Period, SpendingStore, Spent
from serving.store.store import Store

AWAY_S = 5.0  # for which a store that failed is not asked
MARKER = ":marker:"  # in the keys of counters that tell that others have begun
RETRY_S, LONGEST_RETRY_S = 0.5, 10.0

logger = logging.getLogger("serving.api")


class LimitCounters:
    """Counters that are asked before an answer and corrected after it, in the background.

    Each addition is made to the counters of this replica, too. They are asked first, so that a caller beyond its limit
    costs the store nothing, and alone while the store is away.
    """

    def __init__(self, store: Store | None, clock: Callable[[], float] = time.time) -> None:
        """`store`: None if there is none. `clock`: Unix time in seconds."""
        self._store, self._clock = store, clock
        self.local = LocalCounters(clock)
        self.spending = None if store is None else SpendingStore(store.database)
        self._away_until = -float("inf")
        self._later: dict[str, tuple[Addition, float]] = {}  # corrections and the time after which they are void
        self._spent: dict[Period, Spent] = {}
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._arrived = asyncio.Event()

    @property
    def away(self) -> bool:
        """True if there is a store and it could not be reached lately."""
        return self._store is not None and (self._clock() < self._away_until or not self._store.available["expiring"])

    @property
    def pending(self) -> bool:
        """True if corrections wait to be written to the store."""
        return bool(self._later or self._spent or self._writing)

    async def add(self, additions: Sequence[Addition]) -> tuple[Added, bool]:
        """Make the additions if all limits allow it, with one round trip to the store at most.

        Returns:
            The sums, and True if they are those of all replicas.
        """
        local = self.local.add_all(additions)
        if not local.granted or self._store is None:
            return local, True
        if self.away:
            self._keep_all(additions)
            return local, False
        task = asyncio.create_task(self._add_shared(additions))
        try:
            shared = await asyncio.shield(task)
        except BaseException:  # of the store, or of a caller that left
            task.add_done_callback(lambda done: self._take_back(additions, done))
            raise
        if shared is None:
            self._keep_all(additions)
            return local, False
        if not shared.granted:
            self.local.add_all(_negative(additions))
        return shared, True

    def _take_back(self, additions: Sequence[Addition], done: "asyncio.Task[Added | None]") -> None:
        """Take back what a request reserved that was cancelled meanwhile, or whose additions failed."""
        added = None if done.cancelled() or done.exception() is not None else done.result()
        if added is not None and added.granted:
            self.take_back(additions, shared=True)
        else:
            self.local.add_all(_negative(additions))

    async def _add_shared(self, additions: Sequence[Addition]) -> Added | None:
        """The additions in the store, with the corrections that wait for the same counters; None: it is away."""
        assert self._store is not None
        waiting = {one.key: self._later.pop(one.key) for one in additions if one.key in self._later}
        together = [
            replace(one, amount=one.amount + waiting[one.key][0].amount) if one.key in waiting else one
            for one in additions
        ]
        added: Added | None = None
        try:
            added = await self._store.expiring.add_all(together)
            if not added.granted and self._writing is not None:  # what has ended may not have been written yet
                await asyncio.shield(self._writing)
                added = await self._store.expiring.add_all(together)
        except StoreUnavailable as error:
            self._count_alone(error)
            added = None
        finally:
            if added is None or not added.granted:
                for correction, void_at in waiting.values():
                    self._keep(correction, void_at)
                self._wake()
        return added

    def correct(self, additions: Sequence[Addition], *, markers: bool = True) -> None:
        """Add to counters without limits: here at once, in the store soon. `markers`: also to those."""
        self.local.add_all([replace(one, limit=None) for one in additions])
        if self._store is not None:
            self._keep_all(additions, markers=markers)

    def take_back(self, additions: Sequence[Addition], *, shared: bool) -> None:
        """Take additions back that were made; `shared`: in the store, too."""
        self.correct(_negative(additions), markers=shared)

    def spend(self, spent: dict[Period, Spent]) -> None:
        """Count what was spent, in the database soon."""
        if self.spending is None:
            return
        for period, one in spent.items():
            self._spent[period] = self._spent.get(period, Spent()) + one
        self._wake()

    async def flush(self, limit_s: float) -> None:
        """Write all corrections, for at most `limit_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self.pending:
                    self._wake()
                    await asyncio.sleep(0.01)

    async def close(self, limit_s: float) -> None:
        """Write what waits, for at most `limit_s`, and end."""
        await self.flush(limit_s)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _keep_all(self, additions: Sequence[Addition], *, markers: bool = False) -> None:
        """Write additions later. Those of requests that went on without the store are written without markers.

        Markers tell that the store's own counters have begun.
        """
        now = self._clock()
        for one in additions:
            if one.amount and (markers or MARKER not in one.key):
                self._keep(replace(one, limit=None), now + one.ttl_s)
        self._wake()

    def _keep(self, one: Addition, void_at: float) -> None:
        known = self._later.get(one.key)
        amount = one.amount if known is None else known[0].amount + one.amount
        self._later[one.key] = (replace(one, amount=amount), void_at)

    def _wake(self) -> None:
        self._arrived.set()
        if self._task is None and (self._later or self._spent):
            self._task = asyncio.create_task(self._write_always(), name="limits")

    async def _write_always(self) -> None:
        retry_s = RETRY_S
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._later or self._spent:
                self._writing = asyncio.get_running_loop().create_future()
                try:
                    written = await self._write()
                finally:
                    self._writing.set_result(None)
                    self._writing = None
                if written:
                    retry_s = RETRY_S
                else:
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    async def _write(self) -> bool:
        """Write what waits. False if that failed: then it waits again, unless it has become void."""
        assert self._store is not None
        assert self.spending is not None
        later, self._later = self._later, {}
        spent, self._spent = self._spent, {}
        now = self._clock()
        later = {key: (one, void_at) for key, (one, void_at) in later.items() if void_at > now}
        ok = True
        try:
            if later:
                await self._store.expiring.add_all([one for one, _ in later.values()])
        except Exception as error:  # a defect, too, must not end the writing
            if isinstance(error, StoreUnavailable):
                self._count_alone(error)
            else:
                log_exception(logger, error, "Counters of limits could not be written; it is tried again")
            ok = False
            for one, void_at in later.values():
                self._keep(one, void_at)
        try:
            if spent:
                await self.spending.add(spent)
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                log_exception(logger, error, "What keys have spent could not be written; it is tried again")
            ok = False
            for period, amount in spent.items():
                self._spent[period] = self._spent.get(period, Spent()) + amount
        return ok

    def _count_alone(self, error: StoreUnavailable) -> None:
        if not self.away:
            logger.warning("Limits are those of this replica alone: the store cannot be reached: %s", error)
        self._away_until = self._clock() + AWAY_S


def _negative(additions: Sequence[Addition]) -> list[Addition]:
    return [replace(one, amount=-one.amount, limit=None) for one in additions]

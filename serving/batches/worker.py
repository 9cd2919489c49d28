"""The worker: takes batches that have not ended, each with a lease, and answers their lines."""

import asyncio
import logging
import time
import uuid
from collections import Counter
from contextlib import suppress

from serving.batches import load
from serving.batches.parts import RunParts
from serving.batches.run import BatchRun
from serving.failures import log_exception
from serving.store.batch_rows import Batch
from serving.store.errors import StoreUnavailable

MAX_RUNS = 32  # batches at once
SEEN = 2000  # of the batches that have not ended, the oldest
SWEEP_S = 60.0
REST_S = 10.0  # for a batch whose run has failed

logger = logging.getLogger("serving.batches")


class BatchWorker:
    """Works until it is stopped. Several may share a store: a batch belongs to the one that has its lease."""

    def __init__(self, parts: RunParts, name: str | None = None) -> None:
        """`name`: of the leases' owner; None: a new one."""
        self._parts = parts
        self._settings = parts.batches.settings
        self._expiring = parts.batches.store.expiring
        self._name = name or uuid.uuid4().hex
        self._runs: dict[str, tuple[Batch, BatchRun, asyncio.Task[str]]] = {}
        self._rests_until: dict[str, float] = {}
        self._renew_at = self._sweep_at = 0.0
        self._busy_at = -float("inf")  # when other requests were in progress
        self._waits_for_store = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._work_always(), name="batches")

    async def stop(self) -> None:
        """Put back the lines in progress, and end the leases so that another worker can continue at once."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        tasks = [task for _, _, task in self._runs.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        with suppress(StoreUnavailable):
            for batch_id in self._runs:
                await self._expiring.release(_lease(batch_id), self._name)
        self._runs.clear()

    async def _work_always(self) -> None:
        while True:
            try:
                await self.step()
                if self._waits_for_store:
                    logger.warning("Batches go on: the store can be reached again.")
                self._waits_for_store = False
            except StoreUnavailable as error:
                self._store_failed(error)
            except Exception as error:
                log_exception(logger, error, "a step of the worker of batches failed")
            await asyncio.sleep(self._parts.poll_s)

    async def step(self) -> None:
        """Note what has ended, take what waits, and adapt to the load. Raises `StoreUnavailable`."""
        await self._collect()
        await self._adapt()
        await self._renew()
        await self._take()
        await self._sweep()

    async def _collect(self) -> None:
        for batch_id, (_, _, task) in [*self._runs.items()]:
            if not task.done():
                continue
            del self._runs[batch_id]
            if task.cancelled():
                continue  # its lease was lost
            if (error := task.exception()) is None:
                self._parts.observer.batch_ended(task.result())
            else:
                self._rests_until[batch_id] = time.monotonic() + REST_S
                if isinstance(error, StoreUnavailable):
                    self._store_failed(error)
                else:
                    log_exception(logger, error, "the batch %s failed, and is tried again", batch_id)
            await self._expiring.release(_lease(batch_id), self._name)
        waiting = sum(run.waiting for _, run, _ in self._runs.values())
        self._parts.observer.batch_lines(self._parts.slots.taken, waiting)

    def _store_failed(self, error: StoreUnavailable) -> None:
        if not self._waits_for_store:
            logger.warning("Batches wait for the store, which failed: %s", error)
        self._waits_for_store = True

    async def _adapt(self) -> None:
        try:
            found = await load.current(self._expiring, time.time())
        except StoreUnavailable:
            self._parts.slots.set_places(load.places(self._settings, None, 0.0))
            raise
        now = time.monotonic()
        if found.requests:
            self._busy_at = now
        self._parts.slots.set_places(load.places(self._settings, found, now - self._busy_at))

    async def _renew(self) -> None:
        if time.monotonic() < self._renew_at:
            return
        for batch_id, (_, _, task) in [*self._runs.items()]:
            if not await self._claim(batch_id):
                logger.warning("Another worker continues the batch %s.", batch_id)
                task.cancel()
        self._renew_at = time.monotonic() + self._settings.lease_s / 3

    async def _take(self) -> None:
        if len(self._runs) >= MAX_RUNS:
            return
        now = time.monotonic()
        self._rests_until = {one: until for one, until in self._rests_until.items() if until > now}
        left = [
            batch
            for batch in await self._parts.batches.rows.open(SEEN)
            if batch.id not in self._runs and batch.id not in self._rests_until
        ]
        # The oldest first, but an owner with few that run before one with many.
        running = Counter(batch.owner for batch, _, _ in self._runs.values())
        while left and len(self._runs) < MAX_RUNS:
            batch = min(left, key=lambda one: (running[one.owner], one.created_at))
            left.remove(batch)
            if await self._claim(batch.id):
                running[batch.owner] += 1
                await self._begin(batch.id)
            else:  # another worker has it; asking again each second would write as often, for each batch
                self._rests_until[batch.id] = now + self._settings.lease_s / 10

    async def _begin(self, batch_id: str) -> None:
        now = await self._parts.batches.rows.get(batch_id)  # it may have ended since it was listed
        if now is None or not now.open:
            await self._expiring.release(_lease(batch_id), self._name)
            return
        run = BatchRun(now, self._parts)
        self._runs[batch_id] = (now, run, asyncio.create_task(run.run(), name=batch_id))

    async def _claim(self, batch_id: str) -> bool:
        return await self._expiring.claim(_lease(batch_id), self._name, self._settings.lease_s)

    async def _sweep(self) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEEP_S
        await self._parts.batches.files.sweep()
        await self._parts.batches.rows.sweep(time.time() - self._settings.file_ttl_s)


def _lease(batch_id: str) -> str:
    return f"batch:{batch_id}"

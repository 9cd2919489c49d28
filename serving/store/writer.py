"""Writing records in the background: an answer never waits for one."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Table

from serving.failures import log_exception
from serving.store.database import Database
from serving.store.errors import StoreUnavailable

BATCH = 500  # records of one transaction
PAUSE_S = 0.1  # for further records of the same transaction
RETRY_S, LONGEST_RETRY_S = 0.5, 10.0

logger = logging.getLogger("serving.store")


class RecordWriter:
    """Writes rows in the order in which they came. While the database is away they wait, up to a maximum."""

    def __init__(self, database: Database, max_pending: int, on_lost: Callable[[int], None]) -> None:
        """`on_lost` is called with the number of records that were dropped, or could not be written."""
        self._database, self._on_lost = database, on_lost
        self._max_pending = max_pending
        self._pending: deque[tuple[Table, Mapping[str, Any]]] = deque()
        self._arrived, self._written = asyncio.Event(), asyncio.Event()
        self._written.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Records that wait to be written."""
        return len(self._pending)

    def add(self, table: Table, row: Mapping[str, Any]) -> None:
        """Write `row` soon. Returns at once; if too many wait, the oldest is lost."""
        if len(self._pending) >= self._max_pending:
            self._pending.popleft()
            self._on_lost(1)
        self._pending.append((table, row))
        self._written.clear()
        self._arrived.set()

    def start(self) -> None:
        """Begin to write; until then records wait."""
        if self._task is None:
            self._task = asyncio.create_task(self._write_all(), name="records")

    async def flush(self, limit_s: float) -> bool:
        """Wait until all records are written. False if some are not after `limit_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._written.wait()
        return not self._pending

    async def close(self, limit_s: float) -> None:
        """Write what waits, for at most `limit_s`, and end."""
        if self._pending and (self._task is None or not await self.flush(limit_s)):
            self._on_lost(len(self._pending))
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _write_all(self) -> None:
        retry_s = RETRY_S
        while True:
            await self._arrived.wait()
            await asyncio.sleep(PAUSE_S)
            self._arrived.clear()
            while self._pending:
                batch = [self._pending[index] for index in range(min(BATCH, len(self._pending)))]
                try:
                    await self._save(batch)
                except StoreUnavailable as error:
                    if retry_s == RETRY_S:  # the first of several attempts
                        logger.warning("Records wait for the store, which failed: %s", error)
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, LONGEST_RETRY_S)
                    continue
                retry_s = RETRY_S
                self._forget(batch)
            self._written.set()

    async def _save(self, batch: list[tuple[Table, Mapping[str, Any]]]) -> None:
        """Write the batch; if a record of it cannot be written, all of it one by one."""
        try:
            await self._write(batch)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(batch) > 1:
                for entry in batch:
                    await self._save([entry])
                return
            log_exception(logger, error, "A record could not be written.")
            self._on_lost(1)

    async def _write(self, batch: list[tuple[Table, Mapping[str, Any]]]) -> None:
        by_table: dict[Table, list[Mapping[str, Any]]] = defaultdict(list)
        for table, row in batch:
            by_table[table].append(row)
        async with self._database.writing() as connection:
            for table, rows in by_table.items():
                # A transaction that was committed and then lost its connection is written again.
                await connection.execute(self._database.insert(table).on_conflict_do_nothing(), rows)

    def _forget(self, batch: list[tuple[Table, Mapping[str, Any]]]) -> None:
        """Remove what was written; the oldest of it may have been dropped meanwhile."""
        written = {id(entry) for entry in batch}
        while self._pending and id(self._pending[0]) in written:
            self._pending.popleft()

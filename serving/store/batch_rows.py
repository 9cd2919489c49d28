"""Batches in the database, and the steps from one status to the next."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, tuple_, update

from serving.store.batch_files import OPEN, StoredFile, behind, in_order, stored
from serving.store.batch_tables import BATCHES, RESULTS
from serving.store.database import Database
from serving.store.texts import storable

BATCHES_LOCK = 5714  # of PostgreSQL: one batch of an owner is added at a time
PAGE = 2000  # results that one transaction removes


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. Times are Unix times in seconds."""

    id: str
    owner: str
    endpoint: str
    input_file_id: str
    status: str
    metadata: str | None  # JSON
    model: str | None  # None: several, or not known yet
    errors: str | None  # JSON: of the lines of a file that was refused
    total: int
    completed: int  # this, `failed` and `usage` are kept once the batch has ended
    failed: int
    usage: str | None  # JSON
    output_file_id: str | None
    error_file_id: str | None
    output_ttl_s: float
    created_at: float
    expires_at: float
    in_progress_at: float | None = None
    finalizing_at: float | None = None
    completed_at: float | None = None
    failed_at: float | None = None
    expired_at: float | None = None
    cancelling_at: float | None = None
    cancelled_at: float | None = None
    waiting: str | None = None  # JSON: the reason for which lines wait

    @property
    def open(self) -> bool:
        """True if a worker still has something to do."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """Fields by which a worker chooses a batch."""

    id: str
    owner: str
    created_at: float


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """The end of a batch whose files are written."""

    status: str  # "completed", "expired" or "cancelled"
    completed: int
    failed: int
    usage: str | None  # JSON
    output: StoredFile | None
    error: StoredFile | None


class BatchRows:
    """All batches of all owners. Every change asks for the status that it starts from: two workers cannot both do it.

    All methods raise `StoreUnavailable`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Batch, max_open: int) -> bool:
        """Store a new batch. False if its owner has `max_open` that have not ended."""
        open_ones = select(func.count()).where(BATCHES.c.owner == batch.owner, BATCHES.c.status.in_(OPEN))
        async with self._database.writing() as connection:
            await self._database.lock(connection, BATCHES_LOCK, batch.owner)
            if (await connection.execute(open_ones)).scalar_one() >= max_open:
                return False
            await connection.execute(insert(BATCHES).values({name: getattr(batch, name) for name in Batch.__slots__}))
        return True

    async def get(self, batch_id: str, owner: str | None = None) -> Batch | None:
        """The batch, if it is the owner's; None: of any owner."""
        if not storable(batch_id):
            return None
        query = select(BATCHES).where(BATCHES.c.id == batch_id)
        if owner is not None:
            query = query.where(BATCHES.c.owner == owner)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else Batch(**row)

    async def page(self, owner: str, after: Batch | None, limit: int) -> list[Batch]:
        """At most `limit` batches of the owner that are older than `after`, the newest first."""
        query = select(BATCHES).where(BATCHES.c.owner == owner)
        if after is not None:
            query = query.where(behind(BATCHES, after.created_at, after.id, ascending=False))
        query = query.order_by(*in_order(BATCHES, ascending=False)).limit(limit)
        async with self._database.reading() as connection:
            return [Batch(**row) for row in (await connection.execute(query)).mappings()]

    async def open(self, limit: int) -> list[OpenBatch]:
        """Batches that have not ended, the oldest first."""
        query = select(*(BATCHES.c[name] for name in OpenBatch.__slots__)).where(BATCHES.c.status.in_(OPEN))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(BATCHES.c.created_at).limit(limit))).mappings()
            return [OpenBatch(**row) for row in rows]

    async def begin(self, batch_id: str, total: int, model: str | None) -> None:
        """The file is valid: its lines may be answered."""
        await self._step(batch_id, ("validating",), "in_progress", "in_progress_at", total=total, model=model)

    async def set_waiting(self, batch_id: str, waiting: str | None) -> None:
        """Store the reason for which lines wait, as JSON; None: they do not wait."""
        async with self._database.writing() as connection:
            await connection.execute(update(BATCHES).where(BATCHES.c.id == batch_id).values(waiting=waiting))

    async def fail(self, batch_id: str, errors: str) -> None:
        """The file cannot be used. `errors`: JSON."""
        await self._step(batch_id, ("validating", "in_progress"), "failed", "failed_at", errors=errors)

    async def cancel(self, batch_id: str) -> None:
        """Let the worker end the batch. Nothing happens if it is ending already."""
        await self._step(batch_id, ("validating", "in_progress"), "cancelling", "cancelling_at")

    async def finalize(self, batch_id: str, *, expired: bool) -> None:
        """No result is accepted any more. `expired`: before all lines were answered."""
        more = {"expired_at": time.time()} if expired else {}
        await self._step(batch_id, ("validating", "in_progress"), "finalizing", "finalizing_at", **more)

    async def end(self, batch_id: str, end: BatchEnd) -> bool:
        """Its results are in files now; their rows are removed. False if another worker has ended it."""
        files = [file for file in (end.output, end.error) if file is not None]
        values: dict[str, Any] = {
            "status": end.status,
            "completed": end.completed,
            "failed": end.failed,
            "usage": end.usage,
            "output_file_id": end.output and end.output.id,
            "error_file_id": end.error and end.error.id,
            f"{end.status}_at": time.time(),
        }
        ending = BATCHES.c.status.in_(("finalizing", "cancelling"))
        async with self._database.writing() as connection:
            done = await connection.execute(
                update(BATCHES).where(BATCHES.c.id == batch_id, ending).values(values).returning(BATCHES.c.id)
            )
            if done.first() is None:
                return False
            for file in files:
                await connection.execute(stored(file))
        await self._remove_results(RESULTS.c.batch_id == batch_id)
        return True

    async def sweep(self, before: float) -> None:
        """Remove batches that were made before that time and have ended, and results that were left behind."""
        ended = BATCHES.c.status.not_in(OPEN)
        await self._remove_results(RESULTS.c.batch_id.in_(select(BATCHES.c.id).where(ended)))
        async with self._database.writing() as connection:
            await connection.execute(delete(BATCHES).where(BATCHES.c.created_at < before, ended))

    async def _remove_results(self, which: ColumnElement[bool]) -> None:
        """Remove rows in several transactions: one for all could take longer than a transaction may."""
        key = tuple_(RESULTS.c.batch_id, RESULTS.c.line)
        some = delete(RESULTS).where(key.in_(select(RESULTS.c.batch_id, RESULTS.c.line).where(which).limit(PAGE)))
        removed = 1
        while removed:
            async with self._database.writing() as connection:
                removed = (await connection.execute(some)).rowcount

    async def _step(self, batch_id: str, before: Sequence[str], after: str, at: str, **values: Any) -> None:
        change = update(BATCHES).where(BATCHES.c.id == batch_id, BATCHES.c.status.in_(before))
        async with self._database.writing() as connection:
            await connection.execute(change.values({"status": after, at: time.time(), **values}))

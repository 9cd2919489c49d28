"""Files of batches: rows in the database, contents beside it."""

import time
import uuid
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, Update, and_, delete, func, insert, or_, select, update

from serving.store.batch_contents import BatchContents
from serving.store.batch_tables import BATCHES, FILES
from serving.store.database import Database
from serving.store.texts import storable

OPEN = ("validating", "in_progress", "finalizing", "cancelling")  # statuses of batches that a worker still works on
FILES_LOCK = 5713  # of PostgreSQL: one file of an owner is added at a time
UPLOAD_S = 86_400.0  # after which a file that was never written to its end is removed


class FilesFull(Exception):
    """The owner's files would have more bytes than are allowed."""


class FileInUse(Exception):
    """A batch that has not ended reads the file."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file. Times are Unix times in seconds."""

    id: str
    owner: str
    purpose: str  # "batch" or "batch_output"
    filename: str
    bytes: int
    created_at: float
    expires_at: float


class BatchFiles:
    """All files of all owners."""

    def __init__(self, database: Database, contents: BatchContents) -> None:
        """`contents`: where the contents are."""
        self._database, self.contents = database, contents

    async def add(
        self, owner: str, filename: str, pieces: AsyncIterable[bytes], ttl_s: float, max_stored_bytes: int
    ) -> StoredFile:
        """Store a file for a batch, from its content's pieces.

        Raises:
            FilesFull: the owner's files would have more than `max_stored_bytes`.
            StoreUnavailable: it cannot be stored.
            Exception: `pieces` raised.
        """
        file = await self.write(owner, "batch", filename, pieces, ttl_s)
        try:
            async with self._database.writing() as connection:
                await self._database.lock(connection, FILES_LOCK, owner)
                held = select(func.coalesce(func.sum(FILES.c.bytes), 0)).where(FILES.c.owner == owner)
                if (await connection.execute(held)).scalar_one() + file.bytes > max_stored_bytes:
                    raise FilesFull
                await connection.execute(stored(file))
        except BaseException:
            await self.forget(file.id)
            raise
        return file

    async def write(
        self, owner: str, purpose: str, filename: str, pieces: AsyncIterable[bytes], ttl_s: float
    ) -> StoredFile:
        """Write the content of a new file, which counts only after `stored`. Raises as `add`."""
        now = time.time()
        file = StoredFile(f"file-{uuid.uuid4().hex}", owner, purpose, filename, 0, now, now + ttl_s)
        async with self._database.writing() as connection:
            await connection.execute(insert(FILES).values(**_row(file), stored=False))
        try:
            return replace(file, bytes=await self.contents.write(file.id, pieces))
        except BaseException:
            await self.forget(file.id)
            raise

    async def get(self, file_id: str, owner: str) -> StoredFile | None:
        """The file, if it is the owner's and has not expired."""
        if not storable(file_id):
            return None
        query = _stored().where(FILES.c.id == file_id, FILES.c.owner == owner)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else StoredFile(**row)

    async def page(
        self, owner: str, purpose: str | None, after: StoredFile | None, limit: int, ascending: bool
    ) -> list[StoredFile]:
        """At most `limit` files of the owner behind `after`, the newest first unless `ascending`."""
        query = _stored().where(FILES.c.owner == owner)
        if purpose is not None:
            query = query.where(FILES.c.purpose == purpose)
        if after is not None:
            query = query.where(behind(FILES, after.created_at, after.id, ascending))
        query = query.order_by(*in_order(FILES, ascending)).limit(limit)
        async with self._database.reading() as connection:
            return [StoredFile(**row) for row in (await connection.execute(query)).mappings()]

    async def remove(self, file_id: str) -> None:
        """Remove a file. Raises `FileInUse` if a batch reads it."""
        reading = select(BATCHES.c.id).where(BATCHES.c.input_file_id == file_id, BATCHES.c.status.in_(OPEN)).limit(1)
        async with self._database.reading() as connection:
            if (await connection.execute(reading)).first() is not None:
                raise FileInUse
        await self.forget(file_id)

    async def sweep(self) -> int:
        """Remove what has expired, and uploads that never ended. Returns the number of files."""
        now = time.time()
        read = select(BATCHES.c.input_file_id).where(BATCHES.c.status.in_(OPEN))
        over = or_(FILES.c.expires_at <= now, and_(FILES.c.stored.is_(False), FILES.c.created_at <= now - UPLOAD_S))
        query = select(FILES.c.id).where(over, FILES.c.id.not_in(read)).limit(100)
        async with self._database.reading() as connection:
            ids: Sequence[str] = (await connection.execute(query)).scalars().all()
        for file_id in ids:
            await self.forget(file_id)
        return len(ids)

    async def forget(self, file_id: str) -> None:
        """Remove a file, whatever reads it."""
        # In this order: a content without a row would never be removed.
        await self.contents.remove(file_id)
        async with self._database.writing() as connection:
            await connection.execute(delete(FILES).where(FILES.c.id == file_id))


def behind(table: Table, created_at: float, row_id: str, ascending: bool) -> ColumnElement[bool]:
    """Condition of rows behind the given one in the order of `in_order`."""
    at, other = table.c.created_at, table.c.id
    if ascending:
        return or_(at > created_at, and_(at == created_at, other > row_id))
    return or_(at < created_at, and_(at == created_at, other < row_id))


def in_order(table: Table, ascending: bool) -> tuple[ColumnElement[Any], ...]:
    """Order of rows by their time."""
    columns = (table.c.created_at, table.c.id)
    return columns if ascending else tuple(column.desc() for column in columns)


def stored(file: StoredFile) -> Update:
    """Statement after which a file counts whose content has been written."""
    return update(FILES).where(FILES.c.id == file.id).values(bytes=file.bytes, stored=True)


def _row(file: StoredFile) -> dict[str, Any]:
    return {name: getattr(file, name) for name in StoredFile.__slots__}


def _stored() -> Select[Any]:
    columns = (FILES.c[name] for name in StoredFile.__slots__)
    return select(*columns).where(FILES.c.stored.is_(True), FILES.c.expires_at > time.time())

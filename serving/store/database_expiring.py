"""State that expires, in the database."""

import time
from collections.abc import Sequence

from sqlalchemy import case, delete, func, select

from serving.store.counters import Added, Addition
from serving.store.database import Database
from serving.store.tables import COUNTERS, VALUES


class _Refused(Exception):
    """Takes the additions back, with the rest of their transaction."""

    def __init__(self, totals: tuple[float, ...]) -> None:
        self.totals = totals


class DatabaseExpiring:
    """`Expiring` in the tables `expiring_values` and `expiring_counters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> bytes | None:
        query = select(VALUES.c.value).where(VALUES.c.key == key, VALUES.c.expires_at > time.time())
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        row = {"key": key, "value": value, "expires_at": time.time() + ttl_s}
        insert = self._database.insert(VALUES).values(row)
        async with self._database.writing() as connection:
            await connection.execute(insert.on_conflict_do_update(index_elements=["key"], set_=row))

    async def add_all(self, additions: Sequence[Addition]) -> Added:
        now = time.time()
        ordered = sorted(additions, key=lambda one: one.key)  # of two processes, each would wait for the other's locks
        insert = self._database.insert(COUNTERS).values(
            [{"key": one.key, "amount": one.amount, "expires_at": now + one.ttl_s} for one in ordered]
        )
        fresh = COUNTERS.c.expires_at <= now
        update = insert.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "amount": case((fresh, insert.excluded.amount), else_=COUNTERS.c.amount + insert.excluded.amount),
                "expires_at": case((fresh, insert.excluded.expires_at), else_=COUNTERS.c.expires_at),
            },
        ).returning(COUNTERS.c.key, COUNTERS.c.amount)
        try:
            async with self._database.writing() as connection:
                sums = {row.key: row.amount for row in (await connection.execute(update)).all()}
                before = tuple(sums[one.key] - one.amount for one in additions)
                if not all(one.fits(total) for one, total in zip(additions, before, strict=True)):
                    raise _Refused(before)
        except _Refused as refused:
            return Added(False, refused.totals)
        return Added(True, tuple(sums[one.key] for one in additions))

    async def total(self, key: str) -> float:
        query = select(COUNTERS.c.amount).where(COUNTERS.c.key == key, COUNTERS.c.expires_at > time.time())
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar_one_or_none() or 0.0

    async def claim(self, key: str, owner: str, ttl_s: float) -> bool:
        now = time.time()
        row = {"key": key, "value": owner.encode(), "expires_at": now + ttl_s}
        claim = self._database.insert(VALUES).values(row)
        claim = claim.on_conflict_do_update(
            index_elements=["key"],
            set_=row,
            where=(VALUES.c.expires_at <= now) | (VALUES.c.value == owner.encode()),
        ).returning(VALUES.c.key)
        async with self._database.writing() as connection:
            return (await connection.execute(claim)).scalar_one_or_none() is not None

    async def release(self, key: str, owner: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(delete(VALUES).where(VALUES.c.key == key, VALUES.c.value == owner.encode()))

    async def evict(self, prefix: str, max_bytes: int) -> None:
        later = func.sum(func.length(VALUES.c.value)).over(order_by=(VALUES.c.expires_at.desc(), VALUES.c.key))
        sizes = select(VALUES.c.key, later.label("size")).where(VALUES.c.key.startswith(prefix, autoescape=True))
        found = sizes.subquery()
        beyond = select(found.c.key).where(found.c.size > max_bytes)
        async with self._database.writing() as connection:
            await connection.execute(delete(VALUES).where(VALUES.c.key.in_(beyond)))

    async def sweep(self) -> None:
        now = time.time()
        for table in (VALUES, COUNTERS):
            async with self._database.writing() as connection:
                await connection.execute(delete(table).where(table.c.expires_at <= now))

    async def ping(self) -> None:
        await self._database.ping()

    async def close(self) -> None:
        """Nothing to close: the connections are the database's."""

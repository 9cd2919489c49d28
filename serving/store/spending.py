"""Tokens and dollars that callers have spent by day and month, in the database: budgets survive restarts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from serving.store.database import Database
from serving.store.key_tables import SPENDING

BATCH = 200  # rows of one statement; SQLite's limit of parameters is far above


@dataclass(frozen=True, slots=True)
class Spent:
    """Sums that a caller has spent in one period."""

    tokens: float = 0.0
    usd: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.tokens + other.tokens, self.usd + other.usd)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.tokens - other.tokens, self.usd - other.usd)


Period = tuple[str, str]  # the caller's name; a day 2026-11-29 or a month 2026-11, in UTC


class SpendingStore:
    """The table of spending. All methods raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, spent: Mapping[Period, Spent]) -> None:
        """Add to what has been spent, all of it or nothing."""
        rows = [
            {"name": name, "period": period, "tokens": round(one.tokens), "usd": one.usd}
            for (name, period), one in sorted(spent.items())  # of two processes, each would wait for the other's locks
        ]
        async with self._database.writing() as connection:
            for first in range(0, len(rows), BATCH):
                statement = self._database.insert(SPENDING).values(rows[first : first + BATCH])
                added = {name: SPENDING.c[name] + statement.excluded[name] for name in ("tokens", "usd")}
                await connection.execute(statement.on_conflict_do_update(index_elements=["name", "period"], set_=added))

    async def read(self, names: Collection[str], periods: Collection[str]) -> dict[Period, Spent]:
        """Sums that these callers have spent in these periods; those without spending are left out."""
        query = select(SPENDING).where(SPENDING.c.name.in_(names), SPENDING.c.period.in_(periods))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return {(row.name, row.period): Spent(float(row.tokens), row.usd) for row in rows}

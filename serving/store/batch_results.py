"""Results of the lines of batches, until they are in files."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from sqlalchemy import func, select

from serving.store.batch_tables import BATCHES, RESULTS
from serving.store.database import Database

PAGE = 200  # results that are read at once


@dataclass(frozen=True, slots=True)
class LineUsage:
    """Tokens of one line; None: not known."""

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class LineResult:
    """The end of one line. `content` is its line of the output or error file, without the line feed."""

    line: int  # of the input file, from 1
    ok: bool
    content: bytes
    usage: LineUsage


@dataclass(frozen=True, slots=True)
class Counts:
    """Results of a batch so far."""

    completed: int = 0
    failed: int = 0
    usage: LineUsage = LineUsage()


class BatchResults:
    """Results by batch and line: one each, however often a line was answered. Methods raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch_id: str, result: LineResult) -> bool:
        """Store the result of a line, the first one only. False if the batch accepts none any more."""
        status = select(BATCHES.c.status).where(BATCHES.c.id == batch_id)
        if not self._database.embedded:
            status = status.with_for_update(read=True)  # the status stays until this transaction has ended
        row = {"batch_id": batch_id, "line": result.line, "ok": result.ok, "content": result.content}
        row |= {name: getattr(result.usage, name) for name in LineUsage.__slots__}
        async with self._database.writing() as connection:
            if (await connection.execute(status)).scalar_one_or_none() != "in_progress":
                return False
            await connection.execute(self._database.insert(RESULTS).values(row).on_conflict_do_nothing())
        return True

    async def lines(self, batch_id: str) -> set[int]:
        """Numbers of the lines that have a result."""
        query = select(RESULTS.c.line).where(RESULTS.c.batch_id == batch_id)
        async with self._database.reading() as connection:
            return set((await connection.execute(query)).scalars())

    async def contents(self, batch_id: str, ok: bool) -> AsyncIterator[bytes]:
        """Yield the lines of the output file, or of the error file, in the order of the input file, with line feeds."""
        last = 0
        while True:
            query = select(RESULTS.c.line, RESULTS.c.content)
            query = query.where(RESULTS.c.batch_id == batch_id, RESULTS.c.ok.is_(ok), RESULTS.c.line > last)
            async with self._database.reading() as connection:
                rows = (await connection.execute(query.order_by(RESULTS.c.line).limit(PAGE))).all()
            if not rows:
                return
            last = rows[-1].line
            yield b"".join(row.content + b"\n" for row in rows)

    async def counts(self, batch_ids: Iterable[str]) -> dict[str, Counts]:
        """Results so far of each batch that has some, by its id."""
        sums = [func.sum(RESULTS.c[name]).label(name) for name in LineUsage.__slots__]
        query = select(RESULTS.c.batch_id, RESULTS.c.ok, func.count().label("lines"), *sums)
        query = query.where(RESULTS.c.batch_id.in_([*batch_ids])).group_by(RESULTS.c.batch_id, RESULTS.c.ok)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        found: dict[str, Counts] = {}
        for row in rows:
            so_far = found.get(row.batch_id, Counts())
            if row.ok:
                usage = LineUsage(
                    *(None if (n := getattr(row, name)) is None else int(n) for name in LineUsage.__slots__)
                )
                found[row.batch_id] = Counts(row.lines, so_far.failed, usage)
            else:
                found[row.batch_id] = Counts(so_far.completed, row.lines, so_far.usage)
        return found

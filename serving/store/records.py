"""Records of requests, feedback and grades in the database."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Table, delete, func, select

from serving.failures import log_exception
from serving.store.database import Database
from serving.store.errors import StoreUnavailable
from serving.store.record_settings import RecordSettings
from serving.store.record_tables import CALLS, FEEDBACK, GRADES, ID_CHARACTERS, NAME_CHARACTERS, REQUESTS
from serving.store.record_values import CallRecord, RequestRecord, day_of, month_of
from serving.store.texts import made_storable, storable
from serving.store.writer import RecordWriter

SPENT_S = 60.0  # between two sums of the month
SWEEPS = 60  # of these between two deletions of old records
SWEPT_ROWS = 2000  # of one transaction, so that writers wait for none long
END_S = 5.0  # for an operation in progress when the server stops
FLUSH_S = 1.0  # for the record of an answer that has just ended

logger = logging.getLogger("serving.store")


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """Answer that feedback or a grade is about. `proposers`: of its largest layer."""

    id: str
    key: str
    model: str
    proposers: int


class Records:
    """Writes records in the background, deletes old ones, and sums the dollars of the month."""

    def __init__(
        self,
        database: Database,
        writer: RecordWriter,
        settings: RecordSettings | None = None,
        on_spent: Callable[[str, float], None] = lambda key, usd: None,
    ) -> None:
        """`on_spent` is called every minute with each key's name and its dollars of this month, in UTC."""
        self.settings = settings or RecordSettings()
        self._database, self._writer, self._on_spent = database, writer, on_spent
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._spent: set[str] = set()

    def start(self) -> None:
        """Delete old records and report the spent dollars from now on."""
        self._task = asyncio.create_task(self._maintain(), name="records-maintenance")

    async def close(self) -> None:
        """End the maintenance after its operation in progress. Records that wait are written by the store's writer."""
        self._ending.set()
        if self._task is not None:
            _, running = await asyncio.wait({self._task}, timeout=END_S)
            for task in running:
                task.cancel()
                await asyncio.wait({task})

    def add(self, record: RequestRecord) -> None:
        """Write `record` soon. Returns at once."""
        day = day_of(record.at)
        self._writer.add(REQUESTS, request_row(record, day, self.settings.max_text_chars))
        for number, call in enumerate(record.calls):
            self._writer.add(CALLS, _call_row(record, number, call, day))

    def grade(self, answer: RecordedAnswer, judge: str, score: float) -> None:
        """Write a judge's grade of an answer soon. `score`: from 0 (wrong) to 1 (correct and complete)."""
        self._writer.add(GRADES, {**_about(answer), "judge": _name(judge), "score": score})

    async def answer(self, answer_id: str, key: str) -> RecordedAnswer | None:
        """The answer with this id, if a request of the key named `key` got it. Raises `StoreUnavailable`."""
        if not storable(answer_id):
            return None
        if found := await self._find(answer_id, key):
            return found
        await self._writer.flush(FLUSH_S)
        return await self._find(answer_id, key)

    async def rate(self, answer: RecordedAnswer, score: float, comment: str | None) -> None:
        """Write feedback in the place of an earlier one about the same answer. Raises `StoreUnavailable`.

        `score`: from 0 (bad) to 1 (good).
        """
        row = {**_about(answer), "score": score, "comment": None if comment is None else made_storable(comment)}
        insert = self._database.insert(FEEDBACK).values(row)
        async with self._database.writing() as connection:
            await connection.execute(insert.on_conflict_do_update(index_elements=["answer_id"], set_=row))

    async def spent(self, at: float) -> dict[str, float]:
        """Dollars by key of the month, in UTC, that the Unix time `at` is in. Raises `StoreUnavailable`."""
        first, end = month_of(day_of(at))
        query = (
            select(REQUESTS.c.key_name, func.sum(REQUESTS.c.cost_usd))
            .where(REQUESTS.c.day >= first, REQUESTS.c.day < end)
            .group_by(REQUESTS.c.key_name)
        )
        async with self._database.reading() as connection:
            return {key: float(usd) for key, usd in (await connection.execute(query)).all()}

    async def sweep(self, at: float) -> int:
        """Delete what is older than the setting `days` at the Unix time `at`. Raises `StoreUnavailable`.

        Returns:
            Number of deleted rows.
        """
        oldest, deleted = day_of(at - 86_400 * self.settings.days), 0
        for table in (CALLS, REQUESTS, FEEDBACK, GRADES):
            while not self._ending.is_set() and (count := await self._delete_some(table, oldest)):
                deleted += count
        return deleted

    async def _delete_some(self, table: Table, oldest: str) -> int:
        key = table.c.request if table is CALLS else table.primary_key.columns[0]
        old = select(key).where(table.c.day < oldest).limit(SWEPT_ROWS)
        async with self._database.writing() as connection:
            return (await connection.execute(delete(table).where(key.in_(old), table.c.day < oldest))).rowcount

    async def _find(self, answer_id: str, key: str) -> RecordedAnswer | None:
        columns = REQUESTS.c
        query = select(columns.model, columns.proposers).where(
            columns.answer_id == answer_id[:ID_CHARACTERS], columns.key_name == key
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query.limit(1))).first()
            return None if row is None else RecordedAnswer(answer_id, key, row.model, row.proposers)

    async def _maintain(self) -> None:
        count = 0
        while not self._ending.is_set():
            try:
                await self._report_spent()
                if count % SWEEPS == 0 and (deleted := await self.sweep(time.time())):
                    logger.info("Deleted %d rows of records older than %d days.", deleted, self.settings.days)
            except StoreUnavailable:
                pass  # the store's own check says so
            except Exception as error:
                log_exception(logger, error, "The maintenance of records failed; it is tried again in %g s.", SPENT_S)
            else:
                count += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), SPENT_S)

    async def _report_spent(self) -> None:
        spent = await self.spent(time.time())
        for key in self._spent - spent.keys():  # a new month
            self._on_spent(key, 0.0)
        for key, usd in spent.items():
            self._on_spent(key, usd)
        self._spent |= spent.keys()


def request_row(record: RequestRecord, day: str, max_chars: int) -> dict[str, Any]:
    """Row of `REQUESTS`. Texts are cut at `max_chars`."""
    usage = record.usage
    return {
        "id": record.id[:ID_CHARACTERS],
        "at": record.at,
        "day": day,
        "request_id": record.request_id[:ID_CHARACTERS],
        "answer_id": record.answer_id[:ID_CHARACTERS],
        "key_name": _name(record.key),
        "tenant": record.tenant[:ID_CHARACTERS],
        "path": _name(record.path),
        "model": _name(record.model),
        "recipe": _name(record.recipe),
        "priority_class": record.priority_class,
        "priority": record.priority,
        "streamed": record.streamed,
        "prompts": record.prompts,
        "proposers": record.proposers,
        "calls": len(record.calls),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "uncounted": sum(not call.counted for call in record.calls),
        "unpriced": sum(not call.priced for call in record.calls),
        "cost_usd": record.usd,
        "ttft_s": record.ttft_s,
        "total_s": record.total_s,
        "outcome": record.outcome,
        "degraded": record.degraded,
        "reasons": made_storable(orjson.dumps(list(record.reasons)).decode()),
        "prompt_text": None if record.prompt_text is None else made_storable(record.prompt_text[:max_chars]),
        "answer_text": None if record.answer_text is None else made_storable(record.answer_text[:max_chars]),
    }


def _call_row(record: RequestRecord, number: int, call: CallRecord, day: str) -> dict[str, Any]:
    known = call.counted
    return {
        "request": record.id[:ID_CHARACTERS],
        "number": number,
        "day": day,
        "key_name": _name(record.key),
        "recipe": _name(record.recipe),
        "model": _name(call.model),
        "role": _name(call.role),
        "layer": call.layer,
        "agent": call.agent,
        "outcome": call.outcome,
        "prompt_tokens": call.usage.prompt_tokens if known else None,
        "completion_tokens": call.usage.completion_tokens if known else None,
        "cached_tokens": call.usage.cached_tokens or 0 if known else None,
        "reasoning_tokens": call.usage.reasoning_tokens or 0 if known else None,
        "cost_usd": call.usd,
        "priced": call.priced,
        "elapsed_s": call.elapsed_s,
        "ttft_s": call.ttft_s,
    }


def _about(answer: RecordedAnswer) -> dict[str, Any]:
    now = time.time()
    return {
        "answer_id": answer.id[:ID_CHARACTERS],
        "at": now,
        "day": day_of(now),
        "key_name": _name(answer.key),
        "model": _name(answer.model),
        "proposers": answer.proposers,
    }


def _name(text: str) -> str:
    return made_storable(text[:NAME_CHARACTERS])

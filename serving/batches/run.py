"""One batch, from where it stands to its end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from typing import IO

from serving.batches import lines
from serving.batches.lines import Line, LineRules
from serving.batches.output import request_id, result, unanswered, usage_json
from serving.batches.parts import LineAnswer, LineRequest, RunParts
from serving.batches.waiting import Waiting
from serving.store.batch_files import StoredFile
from serving.store.batch_results import Counts, LineResult
from serving.store.batch_rows import Batch, BatchEnd
from serving.store.errors import StoreUnavailable

RETRIED = frozenset({429, 502, 503})
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0  # of a line that is tried again
STORE_PAUSE_S = 0.5  # before a result is written again while the store is away
READ_AHEAD = 64  # lines that are read at once
MISSING = "Upload the file again: its content is gone."
EXPIRED = ("batch_expired", "This request was not answered before the batch expired.")
CANCELLED = ("batch_cancelled", "This request was not answered before the batch was cancelled.")


class BatchRun:
    """Takes a batch through its statuses. Cancelled, it leaves the batch to the worker that continues it.

    Attributes:
        waiting: lines without a result; 0 while that is not known.
    """

    def __init__(self, batch: Batch, parts: RunParts) -> None:
        self._batch, self._parts = batch, parts
        self._rows, self._results, self._files = parts.batches.rows, parts.batches.results, parts.batches.files
        self.waiting = 0
        self._reason = Waiting(batch, self._rows)

    async def run(self) -> str:
        """Return the status in which the batch has ended. Raises `StoreUnavailable`."""
        try:
            if self._batch.status == "validating":
                await self._validate()
                await self._reload()
            if self._batch.status == "in_progress":
                await self._answer_all()
                await self._reload()
        except FileNotFoundError:
            await self._rows.fail(self._batch.id, _errors(lines.LineIssue("file_not_found", MISSING)))
            await self._reload()
        if self._batch.status in ("finalizing", "cancelling"):
            await self._write_files()
            await self._reload()
        return self._batch.status

    async def _reload(self) -> None:
        if (now := await self._rows.get(self._batch.id)) is not None:
            self._batch = now

    async def _validate(self) -> None:
        batch = self._batch
        if time.time() >= batch.expires_at:
            await self._rows.finalize(batch.id, expired=True)
            return
        rules = LineRules(
            batch.endpoint,
            self._parts.batches.settings.max_lines,
            self._parts.max_body_bytes,
            await self._parts.model_check(batch.owner, batch.endpoint),
        )

        with await self._files.contents.opened(batch.input_file_id) as source:
            checked = await self._files.contents.call(lines.check, source, rules)
        if checked.issues:
            await self._rows.fail(batch.id, _errors(*checked.issues))
        else:
            await self._rows.begin(batch.id, checked.total, checked.model)

    async def _answer_all(self) -> None:
        """Answer the lines that have no result yet, until the batch is cancelled or expires."""
        answering = asyncio.create_task(self._answer_lines())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ours = [task for task in (answering, watching) if not task.done()]
            for task in ours:
                task.cancel()
            if ours:
                await asyncio.wait(ours)
        for task in (watching, answering):
            if not task.cancelled():
                task.result()

    async def _watch(self) -> None:
        """Return when the batch accepts no results any more."""
        while True:
            left_s = self._batch.expires_at - time.time()
            if left_s <= 0:
                await self._rows.finalize(self._batch.id, expired=True)
                return
            await asyncio.sleep(min(self._parts.poll_s, left_s))
            with suppress(StoreUnavailable):
                now = await self._rows.get(self._batch.id)
                if now is None or now.status != "in_progress":
                    return

    async def _answer_lines(self) -> None:
        done = await self._results.lines(self._batch.id)
        self.waiting = self._batch.total - len(done)
        room = asyncio.Semaphore(self._parts.batches.settings.max_concurrent)
        source = await self._files.contents.opened(self._batch.input_file_id)
        try:
            async with asyncio.TaskGroup() as tasks:
                async for line in self._lines(source, done):
                    await room.acquire()
                    task = tasks.create_task(self._answer_line(line))
                    task.add_done_callback(lambda _: room.release())
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        await self._rows.finalize(self._batch.id, expired=False)

    async def _answer_line(self, line: Line) -> None:
        batch = self._batch
        request = LineRequest(batch.owner, batch.endpoint, request_id(batch.id, line.number), line.body)
        answer = await self._answer(request)
        await self._save(result(batch.id, line.number, line.custom_id, answer.status, answer.body))
        self.waiting -= 1
        self._parts.observer.batch_line_ended("completed" if answer.status == 200 else "failed")

    async def _answer(self, request: LineRequest) -> LineAnswer:
        """The answer, if need be after several attempts. A line that waits for the next one takes no place."""
        ends_at = time.monotonic() + self._parts.batches.settings.retry_s
        growing_s = FIRST_PAUSE_S
        while True:
            at_most = await self._parts.at_once(request.owner)
            async with self._parts.slots.place(request.owner, at_most):
                answer = await self._parts.answer(request)
            pause_s = pause_after(answer, growing_s)
            if answer.status not in RETRIED or not self._waits(answer, pause_s, ends_at):
                await self._reason.answered()
                return answer
            self._parts.observer.batch_line_ended("retried")
            await self._reason.refused(answer, pause_s)
            await asyncio.sleep(pause_s)
            growing_s = min(2 * growing_s, LONGEST_PAUSE_S)

    def _waits(self, answer: LineAnswer, pause_s: float, ends_at: float) -> bool:
        """True if a refused line is tried again: for `retry_s`, and until a budget begins again with the batch open."""
        if time.monotonic() + pause_s <= ends_at:
            return True
        of_budget = answer.retry_after_s is not None and answer.retry_after_s > LONGEST_PAUSE_S
        return of_budget and time.time() + (answer.retry_after_s or 0) < self._batch.expires_at

    async def _save(self, of_line: LineResult) -> None:
        """Store a result, however long the store is away. A batch that accepts none has ended meanwhile."""
        while True:
            try:
                await self._results.add(self._batch.id, of_line)
            except StoreUnavailable:
                await asyncio.sleep(STORE_PAUSE_S)
            else:
                return

    async def _lines(self, source: IO[bytes], done: set[int]) -> AsyncIterator[Line]:
        """Lines of the input file that are not in `done`; closes the file."""
        with source:
            left = lines.read(source, done, self._parts.max_body_bytes)
            while some := await self._files.contents.call(lambda: list(islice(left, READ_AHEAD))):
                for line in some:
                    yield line

    async def _write_files(self) -> None:
        """Write the output and the error file from the results, and end the batch."""
        batch = self._batch
        counts = (await self._results.counts([batch.id])).get(batch.id, Counts())
        output = await self._written("output", self._results.contents(batch.id, ok=True)) if counts.completed else None
        short = counts.completed + counts.failed < batch.total
        error = await self._written("error", self._failures()) if counts.failed or short else None
        status = "cancelled" if batch.cancelling_at else "expired" if batch.expired_at else "completed"
        usage = json.dumps(usage_json(counts.usage))
        end = BatchEnd(status, counts.completed, counts.failed, usage, output, error)
        if not await self._rows.end(batch.id, end):  # another worker has written its own
            for file in (output, error):
                if file is not None:
                    await self._files.forget(file.id)

    async def _failures(self) -> AsyncIterator[bytes]:
        batch = self._batch
        async for piece in self._results.contents(batch.id, ok=False):
            yield piece
        why = CANCELLED if batch.cancelling_at else EXPIRED
        try:
            source = await self._files.contents.opened(batch.input_file_id)
        except FileNotFoundError:
            return  # the input file's content was lost; what was answered is kept
        async for line in self._lines(source, await self._results.lines(batch.id)):
            yield unanswered(batch.id, line.number, line.custom_id, *why)

    async def _written(self, kind: str, pieces: AsyncIterator[bytes]) -> StoredFile:
        batch = self._batch
        name = f"{batch.id}_{kind}.jsonl"
        return await self._files.write(batch.owner, "batch_output", name, pieces, batch.output_ttl_s)


def pause_after(answer: LineAnswer, growing_s: float) -> float:
    """Seconds until a refused line is tried again. `growing_s`: a pause that grows with each attempt.

    A limit says itself when it ends. An engine that is away may be away for longer than it says.
    """
    own_s = answer.retry_after_s or 0.0
    pause_s = own_s if answer.status == 429 and own_s else max(own_s, growing_s)
    return min(pause_s, LONGEST_PAUSE_S)


def _errors(*issues: lines.LineIssue) -> str:
    return json.dumps([asdict(issue) for issue in issues])

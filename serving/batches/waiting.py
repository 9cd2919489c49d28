"""The reason for which lines of a batch wait, in the batch's row and once in the log."""

import asyncio
import logging
import time
from contextlib import suppress

import orjson

from serving.batches.parts import LineAnswer
from serving.store.batch_rows import Batch, BatchRows
from serving.store.errors import StoreUnavailable

SHOWN_S = 10.0  # shorter waits are part of the work, as with a limit of requests in progress

logger = logging.getLogger("serving.batches")


class Waiting:
    """Reason for which lines of one batch wait, while no line has a result."""

    def __init__(self, batch: Batch, rows: BatchRows) -> None:
        """`batch`: its row may have a reason, of a worker that has stopped."""
        self._id, self._rows = batch.id, rows
        self._shown = self._wanted = batch.waiting
        self._code: str | None = None
        self._logged: set[str] = set()
        self._answered_at = time.monotonic()
        self._writing = asyncio.Lock()

    async def refused(self, answer: LineAnswer, pause_s: float) -> None:
        """Note that a line waits for `pause_s` after this answer."""
        now = time.monotonic()
        if pause_s < SHOWN_S and now - self._answered_at < SHOWN_S:
            return
        error = orjson.loads(answer.body).get("error") or {}
        code, message = str(error.get("code") or error.get("type")), str(error.get("message"))
        if code != self._code:
            self._code = code
            reason = {"code": code, "message": message, "since": int(time.time())}
            self._wanted = orjson.dumps(reason).decode()
            if code not in self._logged:
                self._logged.add(code)
                logger.warning("Lines of the batch %s wait: %s", self._id, message)
        await self._write()

    async def answered(self) -> None:
        """Note that a line has a result."""
        self._answered_at = time.monotonic()
        self._code = self._wanted = None
        await self._write()

    async def _write(self) -> None:
        if self._wanted == self._shown:
            return
        async with self._writing:
            wanted = self._wanted
            with suppress(StoreUnavailable):  # the next line tries again
                await self._rows.set_waiting(self._id, wanted)
                self._shown = wanted

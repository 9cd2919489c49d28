"""Stored answers and claims, in the state that expires."""

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

from serving.cache.entry import UnusableEntry, decoded, encoded
from serving.cache.flights import Flight, Flights
from serving.cache.refusals import Refusal
from serving.cache.settings import CacheSettings
from serving.store.errors import StoreUnavailable
from serving.store.expiring import Expiring
from serving.telemetry import Observer
from serving.types import Completion

ANSWERS, CLAIMS = "cache:a:", "cache:c:"  # beginnings of the store's keys
CLAIM_S = 10.0  # lifetime of a claim that is not prolonged: after it, the death of its owner frees the others
POLL_S, LONGEST_POLL_S = 0.05, 1.0  # between two looks at another process's answer
# After a failure the store is not asked for so long: each request would wait for its timeout.
AWAY_S = 5.0
WRITE_WAIT_S = 0.25  # that the end of an answer waits until it is stored; the write goes on without it
LARGE_BYTES = 2**16  # an entry beyond is read in a thread
MAX_SHARE = 16  # old entries are deleted after so great a part of `max_total_bytes` has been written
CLOSE_S = 5.0

T = TypeVar("T")

logger = logging.getLogger("serving.cache")


class ResponseCache:
    """The response cache of one process. All processes with the same store share the answers.

    Every method works without the store: then nothing is found, nothing is stored, and requests of other processes are
    not waited for.
    """

    def __init__(self, expiring: Expiring, settings: CacheSettings, observer: Observer | None = None) -> None:
        """Keep answers in `expiring`."""
        self.settings = settings
        self.observer = observer or Observer()
        self.flights = Flights()
        self._expiring = expiring
        self._away_until = 0.0  # loop time
        self._failing = False
        self._written_bytes = settings.max_total_bytes  # evict at the first entry: the limit may be a new one
        self._tasks: set[asyncio.Task[Any]] = set()

    async def get(self, key: str, model: str) -> Completion | None:
        """The stored answer. A damaged entry, or one of another version of the server, is none."""
        if self._is_away():
            return None
        try:
            entry = await self._expiring.get(ANSWERS + key)
            self._failing = False
            if entry is None:
                return None
            found = await asyncio.to_thread(decoded, entry) if len(entry) > LARGE_BYTES else decoded(entry)
        except StoreUnavailable as error:
            self._failed(model, error)
            return None
        except UnusableEntry as error:
            logger.warning("A stored answer of '%s' cannot be read: %s.", model, error)
            self.observer.cache_used(model, "error")
            return None
        self.observer.cache_used(model, "hit", len(entry))
        return found

    async def keep(self, key: str, model: str, completion: Completion, ttl_s: float) -> bool:
        """Store a whole answer. Returns True if it is stored within `WRITE_WAIT_S`, False if not or not yet."""
        try:
            entry = await asyncio.to_thread(encoded, completion)
        except ValueError:
            self.refused(model, "encoding")
            return False
        if len(entry) > self.settings.max_entry_bytes:
            self.refused(model, "too_large")
            return False
        if self._is_away():
            self.observer.cache_used(model, "error")
            return False
        writing = self._start(self._put(key, model, entry, ttl_s))
        await asyncio.wait({writing}, timeout=WRITE_WAIT_S)
        return writing.done() and writing.result()

    def refused(self, model: str, why: Refusal) -> None:
        """Report an answer that is not stored."""
        self.observer.cache_used(model, why)

    async def find(self, key: str, model: str, limit_s: float) -> "Completion | Lead | None":
        """The answer: stored, or of an equal request in progress, for which this waits for at most `limit_s`.

        Returns:
            The answer; or a `Lead`, if this request is to compute it for all; or None: it computes it for itself, as
            the other did not end in time or failed.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + limit_s
        while (flight := self.flights.get(key)) is not None:
            if (left_s := ends_at - loop.time()) <= 0 or not await flight.wait(left_s):
                return None
            if flight.answer is not None:
                self.observer.cache_used(model, "hit")
                return flight.answer
            if not flight.left:
                return None
        flight = self.flights.begin(key)
        try:
            found = await self._search(key, model, flight, ends_at)
        except BaseException:  # a caller that left
            self.flights.end(key, flight, left=True)
            raise
        if not isinstance(found, Lead):
            self.flights.end(key, flight, found)
        return found

    async def _search(self, key: str, model: str, flight: Flight, ends_at: float) -> "Completion | Lead | None":
        """The stored answer, or a claim to compute it, as soon as there is one of them; None if `ends_at` passes."""
        loop = asyncio.get_running_loop()
        owner = uuid.uuid4().hex
        pause_s = POLL_S
        while True:
            if (found := await self.get(key, model)) is not None:
                return found
            claiming = self._start(self._claim(key, model, owner))
            try:
                claimed = await asyncio.shield(claiming)
                # The other process may have stored its answer between our look and its end.
                if claimed and (found := await self.get(key, model)) is not None:
                    self._start(self._release(key, model, owner))
                    return found
            except BaseException:  # a caller that left; the store may have its claim nevertheless
                self._start(self._release_later(claiming, key, model, owner))
                raise
            if claimed is not False:
                return Lead(self, key, model, flight, owner if claimed else None)
            if loop.time() + pause_s > ends_at:
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(1.5 * pause_s, LONGEST_POLL_S)

    async def _claim(self, key: str, model: str, owner: str) -> bool | None:
        """Claim the computation. False: another process has it. None: unknown, as the store is away."""
        if self._is_away():
            return None
        try:
            return await self._expiring.claim(CLAIMS + key, owner, CLAIM_S)
        except StoreUnavailable as error:
            self._failed(model, error)
            return None

    async def _put(self, key: str, model: str, entry: bytes, ttl_s: float) -> bool:
        try:
            await self._expiring.put(ANSWERS + key, entry, ttl_s)
        except StoreUnavailable as error:
            self._failed(model, error)
            return False
        self.observer.cache_used(model, "stored", len(entry))
        self._written_bytes += len(entry)
        if self._written_bytes * MAX_SHARE >= self.settings.max_total_bytes:
            self._written_bytes = 0
            self._start(self._evict(model))
        return True

    async def _evict(self, model: str) -> None:
        try:
            await self._expiring.evict(ANSWERS, self.settings.max_total_bytes)
        except StoreUnavailable as error:
            self._failed(model, error)

    async def _release(self, key: str, model: str, owner: str) -> None:
        try:
            await self._expiring.release(CLAIMS + key, owner)
        except StoreUnavailable as error:  # the claim expires by itself
            self._failed(model, error)

    async def _release_later(self, claiming: "asyncio.Task[bool | None]", key: str, model: str, owner: str) -> None:
        """End a claim that nobody waits for, once the store has answered."""
        await asyncio.wait({claiming})
        await self._release(key, model, owner)

    async def prolong(self, key: str, model: str, owner: str) -> None:
        """Keep a claim until this is cancelled."""
        while True:
            await asyncio.sleep(CLAIM_S / 3)
            await self._claim(key, model, owner)

    def give_up(self, key: str, model: str, owner: str, prolonging: "asyncio.Task[None]") -> None:
        """Stop prolonging a claim, and release it in the background."""

        async def release() -> None:
            prolonging.cancel()
            await asyncio.wait({prolonging})
            await self._release(key, model, owner)

        self._start(release())

    def _is_away(self) -> bool:
        return asyncio.get_running_loop().time() < self._away_until

    def _failed(self, model: str, error: StoreUnavailable) -> None:
        if not self._failing:
            logger.warning(
                "The response cache is not used, as the store failed; tried again each %g s: %s", AWAY_S, error
            )
        self._failing = True
        self._away_until = asyncio.get_running_loop().time() + AWAY_S
        self.observer.cache_used(model, "error")

    def _start(self, work: Coroutine[None, None, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work, name="cache")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Finish what is being written, for at most 5 s."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + CLOSE_S
        while self._tasks and (left_s := ends_at - loop.time()) > 0:
            await asyncio.wait({*self._tasks}, timeout=left_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait({*self._tasks})


class Lead:
    """A request that computes the answer for all equal ones. It prolongs its claim until its end."""

    def __init__(self, cache: ResponseCache, key: str, model: str, flight: Flight, owner: str | None) -> None:
        """Lead `flight`. `owner`: of the claim; None: there is none, as the store is away."""
        self._cache, self._key, self._model, self._flight, self._owner = cache, key, model, flight, owner
        self._prolonging = None if owner is None else asyncio.create_task(cache.prolong(key, model, owner))

    def end(self, answer: Completion | None = None, *, left: bool = False) -> None:
        """Let all others continue: with `answer`, or each by itself; `left`: with one of them in the lead. Once."""
        if self._owner is not None and self._prolonging is not None:
            self._cache.give_up(self._key, self._model, self._owner, self._prolonging)
            self._owner = None
        self._cache.flights.end(self._key, self._flight, answer, left=left)

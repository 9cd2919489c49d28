"""Keys of the store, as the callers behind them: known keys in memory, read again every few seconds."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from serving.api.keys import Caller, KeyRing
from serving.api.settings import ApiSettings
from serving.api.stored_settings import StoredSettings
from serving.errors import StoreRequired, Unauthorized
from serving.failures import log_exception
from serving.store.api_key import KeyText, parsed_key
from serving.store.errors import StoreUnavailable
from serving.store.key_store import KeyRecord, KeyStore

OVERLAP_S = 60.0  # of two readings: clocks of two nodes may differ, and transactions end later than they begin
COMPLETE_S = 60.0  # between two readings of all keys
# Of keys that are not known: so many are looked up in the store at once, and then a second.
MISSES, MISSES_PER_S = 20, 5.0
SEEK_S = 0.5  # between two readings for names that are not known
MAX_UNKNOWN = 4096  # ids without a key that are remembered until the next reading

logger = logging.getLogger("serving.api")


def caller_of(record: KeyRecord, ring: KeyRing, settings: ApiSettings) -> Caller:
    """The caller with a stored key."""
    own = StoredSettings.model_validate(dict(record.settings))
    return Caller(
        record.name,
        ring.tenant(record.name),
        own.priority_class or settings.priority_class,
        own.max_in_flight or settings.max_in_flight_per_key,
        own.limits.over(settings.limits),
        None if own.models is None else frozenset(own.models),
        record.admin,
    )


class StoredKeys:
    """Callers by the keys in the store.

    Keys that are made, changed or revoked by any process are known after `keys_refresh_s`. A key that is not known is
    looked up at once, so that a new one works at once; the number of such look-ups is limited, as wrong keys cause
    them, too. While the store cannot be reached, the known keys stay valid until they expire.
    """

    def __init__(
        self,
        store: KeyStore,
        ring: KeyRing,
        settings: ApiSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock`: Unix time in seconds."""
        self._store, self._ring, self._settings, self._clock = store, ring, settings, clock
        self._known: dict[str, tuple[KeyRecord, Caller]] = {}  # by id
        self._ids: dict[str, dict[str, None]] = {}  # of known keys, by name, the first known first
        self._unknown: OrderedDict[str, None] = OrderedDict()  # ids
        self._looking: dict[str, asyncio.Task[None]] = {}  # by id
        self._misses, self._missed_at = float(MISSES), clock()
        self._complete_at = -float("inf")  # time of the last reading of all keys
        self._sought_at = -float("inf")  # time of the last reading for a name
        self._reached = True
        self._first = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the keys now and from now on. A store that is away does not stop the server."""
        async with self._first:
            if self._task is None:
                await self.refresh()
                self._task = asyncio.create_task(self._refresh_always(), name="keys")

    async def close(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def refresh(self) -> None:
        """Read the keys that were changed, or all of them if that is due."""
        now = self._clock()
        complete = now - self._complete_at >= COMPLETE_S
        try:
            records = await (self._store.records() if complete else self._store.changed_since(now - OVERLAP_S))
        except StoreUnavailable as error:
            if self._reached:
                logger.warning("Keys cannot be read from the store; those known stay valid: %s", error)
            self._reached = False
            return
        self._reached = True
        self._unknown.clear()
        if complete:
            self._complete_at = now
            for removed in self._known.keys() - {record.id for record in records}:
                self._forget(removed)
        for record in records:
            self._learn(record)

    async def caller(self, given: bytes | None) -> Caller:
        """The caller with the key `given`.

        Raises:
            Unauthorized: there is no such key, or it is expired or revoked.
            StoreRequired: the key is not known, and the store cannot be asked.
        """
        key = parsed_key(given)
        if key is None:
            raise Unauthorized
        if self._task is None:
            await self.start()
        record, caller = self._known.get(key.id) or await self._looked_up(key)
        if not key.matches(record.salt, record.digest):
            raise Unauthorized
        if record.revoked_at is not None:
            raise Unauthorized("Use another API key: this one has been revoked.")
        if not record.valid(self._clock()):
            raise Unauthorized("Use another API key: this one has expired.")
        return caller

    async def named(self, name: str) -> Caller | None:
        """The caller of the key with this name; None: there is no valid one. Reads the keys again for a new name."""
        if self._task is None:
            await self.start()
        if (caller := self._valid(name)) is None and self._clock() - self._sought_at >= SEEK_S:
            self._sought_at = self._clock()
            await self.refresh()
            caller = self._valid(name)
        return caller

    def _valid(self, name: str) -> Caller | None:
        now = self._clock()
        known = (self._known[key_id] for key_id in self._ids.get(name, ()))
        return next((caller for record, caller in known if record.valid(now)), None)

    async def _looked_up(self, key: KeyText) -> tuple[KeyRecord, Caller]:
        if (looking := self._looking.get(key.id)) is None:
            now = self._clock()
            self._misses = min(MISSES, self._misses + max(0.0, now - self._missed_at) * MISSES_PER_S)
            self._missed_at = now
            if key.id in self._unknown or self._misses < 1:
                raise Unauthorized
            self._misses -= 1
            looking = self._looking[key.id] = asyncio.create_task(self._look_up(key.id))
            looking.add_done_callback(lambda _: self._looking.pop(key.id, None))
        await asyncio.shield(looking)  # shared by all requests with the key
        if (known := self._known.get(key.id)) is None:
            if not self._reached:
                raise StoreRequired("The API key cannot be checked")
            raise Unauthorized
        return known

    async def _look_up(self, key_id: str) -> None:
        try:
            record = await self._store.record(key_id)
        except StoreUnavailable:
            self._reached = False
            return
        self._reached = True
        if record is not None:
            self._learn(record)
            return
        self._unknown[key_id] = None
        if len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    def _learn(self, record: KeyRecord) -> None:
        known = self._known.get(record.id)
        if known is not None and known[0].changed_at == record.changed_at:
            return  # not "later": the clocks of those who change keys may differ
        try:
            self._known[record.id] = (record, caller_of(record, self._ring, self._settings))
            self._ids.setdefault(record.name, {})[record.id] = None
        except ValueError:  # of a newer or older version: nobody may get more than the settings say
            logger.warning("The key %s has settings that this version does not know; it is refused.", record.prefix)
            self._forget(record.id)

    def _forget(self, key_id: str) -> None:
        known = self._known.pop(key_id, None)
        if known is not None:
            ids = self._ids[known[0].name]
            del ids[key_id]
            if not ids:
                del self._ids[known[0].name]

    async def _refresh_always(self) -> None:
        while True:
            await asyncio.sleep(self._settings.keys_refresh_s)
            try:
                await self.refresh()
            except Exception as error:  # it must not end the reading: revoked keys would stay valid
                log_exception(logger, error, "Keys could not be read from the store; it is tried again")

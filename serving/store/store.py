"""The store: database, state that expires, and the writer of records, with their health."""

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Literal

from serving.store.database import Database, database_url
from serving.store.database_expiring import DatabaseExpiring
from serving.store.errors import StoreUnavailable
from serving.store.expiring import Expiring
from serving.store.records import Records
from serving.store.settings import StoreSettings
from serving.store.writer import RecordWriter
from serving.telemetry import Observer

CHECK_S = 5.0
SWEEP_CHECKS = 12  # between two removals of what has expired
FLUSH_S = 5.0  # for records that wait when the server stops
Part = Literal["database", "expiring"]

logger = logging.getLogger("serving.store")


class Store:
    """All state of one server that outlives a request.

    Attributes:
        database: records.
        expiring: values, counters and claims with a lifetime.
        records: writes rows in the background.
        requests: records of requests, feedback and grades.
        available: whether each part could be reached when it was last checked.
    """

    def __init__(
        self, settings: StoreSettings, observer: Observer | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        """Connects to nothing yet. Raises `ConfigError` if an address in the environment is wrong."""
        self._observer = observer or Observer()
        self.database = Database(database_url(settings, environment), settings.timeout_s)
        redis = settings.redis_url(environment)
        self.expiring: Expiring = DatabaseExpiring(self.database)
        if redis is not None:
            from serving.store.redis_expiring import RedisExpiring  # its client imports OpenTelemetry

            self.expiring = RedisExpiring(redis.get_secret_value(), settings.redis_timeout_s)
        self.records = RecordWriter(self.database, settings.max_pending_records, self._observer.records_lost)
        self.requests = Records(self.database, self.records, settings.records, self._observer.spent)
        self.available: dict[Part, bool] = {"database": True, "expiring": True}
        self._checks: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the tables, and check both parts from now on. A store that is away does not stop the server."""
        await self.check()
        self.records.start()
        self.requests.start()
        self._checks = asyncio.create_task(self._check_always(), name="store")

    async def check(self) -> None:
        """Set `available`."""
        await self._check("database", self.database)
        if isinstance(self.expiring, DatabaseExpiring):
            self._tell("expiring", self.available["database"])
        else:
            await self._check("expiring", self.expiring)

    async def close(self) -> None:
        """Write the records that wait, for at most 5 s, and close all connections."""
        if self._checks is not None:
            self._checks.cancel()
            with suppress(asyncio.CancelledError):
                await self._checks
        await self.requests.close()
        await self.records.close(FLUSH_S)
        await self.expiring.close()
        await self.database.close()

    async def _check_always(self) -> None:
        for number in count(1):
            await asyncio.sleep(CHECK_S)
            await self.check()
            if number % SWEEP_CHECKS == 0:
                with suppress(StoreUnavailable):
                    await self.expiring.sweep()

    async def _check(self, part: Part, service: Database | Expiring) -> None:
        try:
            await service.ping()
        except StoreUnavailable as error:
            if self.available[part]:
                logger.warning("The store (%s) cannot be reached; answers go on without it: %s", part, error)
            self._tell(part, False)
        else:
            if not self.available[part]:
                logger.warning("The store (%s) can be reached again.", part)
            self._tell(part, True)

    def _tell(self, part: Part, available: bool) -> None:
        self.available[part] = available
        self._observer.store_checked(part, available)

"""API keys in the database: made, read, changed, replaced and revoked."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.store.api_key import SALT_BYTES, KeyText, new_key, prefix_of
from serving.store.database import Database
from serving.store.key_tables import KEYS
from serving.store.texts import storable

CREATE_LOCK = 5712  # of PostgreSQL: one key is made at a time


class NameTaken(Exception):
    """A valid key has the name."""


class NoSuchKey(Exception):
    """No valid key has the name."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored key. Times are Unix times in seconds.

    Attributes:
        id: part of the key's text; the rest of the text is not stored.
        name: of the caller.
        team: whose key it is.
        salt: of the digest.
        digest: of the salt and the key.
        settings: models, limits and priority class, as JSON.
        admin: the key may manage keys.
        created_at: when it was made.
        changed_at: when it was made or changed last.
        expires_at: None: never.
        revoked_at: None: it has not been revoked.
    """

    id: str
    name: str
    team: str
    salt: bytes
    digest: bytes
    settings: Mapping[str, Any]
    admin: bool
    created_at: float
    changed_at: float
    expires_at: float | None
    revoked_at: float | None

    @property
    def prefix(self) -> str:
        """Part of the key that listings show."""
        return prefix_of(self.id)

    def valid(self, now: float) -> bool:
        """True if the key is neither revoked nor expired at `now`."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class KeyStore:
    """The table of keys. All methods raise `StoreUnavailable`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """`clock`: Unix time in seconds."""
        self._database, self._clock = database, clock

    async def records(self, name: str | None = None) -> list[KeyRecord]:
        """All keys, or those with this name, oldest first."""
        if name is not None and not storable(name):
            return []
        query = select(KEYS) if name is None else select(KEYS).where(KEYS.c.name == name)
        return await self._read(query.order_by(KEYS.c.created_at, KEYS.c.id))

    async def changed_since(self, at: float) -> list[KeyRecord]:
        """Keys that were made or changed at `at` or later."""
        return await self._read(select(KEYS).where(KEYS.c.changed_at >= at))

    async def record(self, key_id: str) -> KeyRecord | None:
        """The key with this id."""
        found = await self._read(select(KEYS).where(KEYS.c.id == key_id))
        return found[0] if found else None

    async def create(
        self, name: str, team: str, settings: Mapping[str, Any], *, admin: bool, expires_at: float | None
    ) -> tuple[KeyText, KeyRecord]:
        """Make a key. Its text is in the result and nowhere else. Raises `NameTaken`."""
        async with self._database.writing() as connection:
            await self._database.lock(connection, CREATE_LOCK)
            if await self._valid(connection, name):
                raise NameTaken(name)
            return await self._insert(connection, name, team, settings, admin=admin, expires_at=expires_at)

    async def change(self, name: str, changes: Mapping[str, Any]) -> list[KeyRecord]:
        """Change all valid keys of a name; `changes`: columns `team`, `settings`, `admin`, `expires_at`.

        The end of a key that is being replaced stays. Raises `NoSuchKey`.
        """
        columns = dict(changes)
        if "settings" in columns:
            columns["settings"] = json.dumps(columns["settings"])
        return await self._update(name, columns)

    async def revoke(self, name: str) -> list[KeyRecord]:
        """Revoke all valid keys of a name. Raises `NoSuchKey`."""
        return await self._update(name, {"revoked_at": self._clock()})

    async def rotate(self, name: str, grace_s: float) -> tuple[KeyText, KeyRecord]:
        """Make a new key of the same name and settings; the former ones end after `grace_s`. Raises `NoSuchKey`."""
        now = self._clock()
        async with self._database.writing() as connection:
            await self._database.lock(connection, CREATE_LOCK)
            former = await self._valid(connection, name)
            if not former:
                raise NoSuchKey(name)
            ends_at = now + grace_s
            still = KEYS.c.id.in_([one.id for one in former])
            longer = or_(KEYS.c.expires_at.is_(None), KEYS.c.expires_at > ends_at)
            await connection.execute(update(KEYS).where(still, longer).values(expires_at=ends_at, changed_at=now))
            last = former[-1]
            return await self._insert(
                connection, name, last.team, last.settings, admin=last.admin, expires_at=last.expires_at
            )

    async def _insert(
        self,
        connection: AsyncConnection,
        name: str,
        team: str,
        settings: Mapping[str, Any],
        *,
        admin: bool,
        expires_at: float | None,
    ) -> tuple[KeyText, KeyRecord]:
        key, salt, now = new_key(), secrets.token_bytes(SALT_BYTES), self._clock()
        record = KeyRecord(
            key.id, name, team, salt, key.digest(salt), settings, admin, now, now, expires_at, revoked_at=None
        )
        row = {field: getattr(record, field) for field in KeyRecord.__slots__}
        await connection.execute(insert(KEYS), [{**row, "settings": json.dumps(settings)}])
        return key, record

    async def _update(self, name: str, columns: Mapping[str, Any]) -> list[KeyRecord]:
        async with self._database.writing() as connection:
            ids = [one.id for one in await self._valid(connection, name)]
            if not ids:
                raise NoSuchKey(name)
            changed = {**columns, "changed_at": self._clock()}
            await connection.execute(update(KEYS).where(KEYS.c.id == ids[-1]).values(**changed))
            changed.pop("expires_at", None)
            await connection.execute(update(KEYS).where(KEYS.c.id.in_(ids[:-1])).values(**changed))
            rows = (await connection.execute(select(KEYS).where(KEYS.c.id.in_(ids)).order_by(KEYS.c.created_at))).all()
            return [_record(row) for row in rows]

    async def _valid(self, connection: AsyncConnection, name: str) -> list[KeyRecord]:
        if not storable(name):
            return []
        query = select(KEYS).where(KEYS.c.name == name).order_by(KEYS.c.created_at, KEYS.c.id).with_for_update()
        now = self._clock()
        found = [_record(row) for row in (await connection.execute(query)).all()]
        return [one for one in found if one.valid(now)]

    async def _read(self, query: Select[Any]) -> list[KeyRecord]:
        async with self._database.reading() as connection:
            return [_record(row) for row in (await connection.execute(query)).all()]


def _record(row: Row[Any]) -> KeyRecord:
    values = dict(row._mapping)
    return KeyRecord(**{**values, "settings": json.loads(values["settings"])})

"""The database of records: a SQLite file, or PostgreSQL."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic.util.exc import CommandError
from sqlalchemy import URL, Table, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from serving.errors import ConfigError
from serving.failures import said
from serving.store.errors import StoreUnavailable, UnstorableText
from serving.store.migrate import upgrade
from serving.store.private_files import make_file
from serving.store.settings import StoreSettings
from serving.store.texts import storable

DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}  # by the scheme of the address
TLS = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")  # of asyncpg
READ_ONLY = "moa_read_only"  # execution option of a transaction that writes nothing
# What a driver raises when a server is away, full or slow; `OUR_OWN` are errors of statements and rows.
AWAY = (DBAPIError, OSError, TimeoutError, sqlite3.Error)
OUR_OWN = (IntegrityError, DataError, ProgrammingError)


def database_url(settings: StoreSettings, environment: Mapping[str, str] = os.environ) -> URL:
    """Address of the database for SQLAlchemy.

    Raises:
        ConfigError: the variable has no address of a PostgreSQL database.
    """
    if not (given := environment.get(settings.database_env, "").strip()):
        return URL.create("sqlite+aiosqlite", database=str(settings.file(environment)))
    try:
        url = make_url(given)
        driver = DRIVERS[url.get_backend_name()]
    except (ArgumentError, KeyError, ValueError):
        raise ConfigError(
            f"Set {settings.database_env} to an address such as postgresql://USER:KEY@HOST:5432/NAME, or unset it for"
            " the embedded database."
        ) from None
    # libpq's name of the option that asyncpg calls `ssl`.
    options = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
    if (unknown := sorted(options.keys() - {"ssl"})) or options.get("ssl", "prefer") not in TLS:
        what = f"'{unknown[0]}'" if unknown else "another value of 'sslmode'"
        raise ConfigError(f"Remove {what} from {settings.database_env}: the only option is sslmode={'|'.join(TLS)}.")
    return url.set(drivername=driver, query=options)


class Database:
    """Transactions of one process on the database. Several processes may share it."""

    def __init__(self, url: URL, timeout_s: float) -> None:
        """`url`: see `database_url`. `timeout_s`: of one transaction, and of waiting for a lock."""
        self.url, self.timeout_s = url, timeout_s
        self.embedded = url.get_backend_name() == "sqlite"
        self._engine = _engine(url, timeout_s)
        event.listen(self._engine.sync_engine, "before_cursor_execute", _check_texts)
        self._migrated = False
        self._migrating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make or upgrade the tables, once. Every transaction does it. Raises `StoreUnavailable`.

        All callers wait for the same attempt. One whose time has passed leaves it running.
        """
        if self._migrated:
            return
        if self._migrating is None or self._migrating.done():
            self._migrating = asyncio.create_task(self._migrate(), name="migrations")
            self._migrating.add_done_callback(lambda task: task.cancelled() or task.exception())  # all may have left
        await asyncio.shield(self._migrating)

    async def _migrate(self) -> None:
        try:
            if self.embedded:
                make_file(Path(str(self.url.database)))
            async with self._engine.begin() as connection:  # SQLite: this locks the file against other processes
                if not self.embedded:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(5711)"))
                await connection.run_sync(upgrade)
        except CommandError as error:  # of Alembic, which does not know their revision
            raise StoreUnavailable("the tables are those of a newer version of this server") from error
        except AWAY as error:
            raise StoreUnavailable(_said(error)) from error
        self._migrated = True

    def insert(self, table: Table) -> Any:
        """An insert statement of this database's dialect, with `on_conflict_do_nothing` and `on_conflict_do_update`.

        The two dialects' statements have no common type.
        """
        return sqlite.insert(table) if self.embedded else postgresql.insert(table)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end of the block. Raises `StoreUnavailable` or `UnstorableText`."""
        async with self._transaction(read_only=False) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads. Raises `StoreUnavailable` or `UnstorableText`."""
        async with self._transaction(read_only=True) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, read_only: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(self.timeout_s):
                await self.start()
                async with self._engine.connect() as connection:
                    connection = await connection.execution_options(**{READ_ONLY: read_only})
                    async with connection.begin():
                        yield connection
        except OUR_OWN:
            raise
        except AWAY as error:
            raise StoreUnavailable(_said(error)) from error

    async def lock(self, connection: AsyncConnection, number: int, name: str = "") -> None:
        """Wait until no other transaction has this lock, and hold it until this one ends.

        For conditions over several rows: without it, two transactions see neither the row that the other one adds.
        SQLite has one writer at a time in any case.
        """
        if not self.embedded:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:number, hashtext(:name))"), {"number": number, "name": name}
            )

    async def ping(self) -> None:
        """Raises `StoreUnavailable` if the database does not answer."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        if self._migrating is not None and not self._migrating.done():
            # Alembic keeps its state in modules: one that is cancelled in its middle would disturb the next.
            await asyncio.wait({self._migrating}, timeout=self.timeout_s)
            self._migrating.cancel()
        try:
            await self._engine.dispose()
        except (SQLAlchemyError, OSError):
            return  # a server that is away closes nothing


def _engine(url: URL, timeout_s: float) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        arguments = {"timeout": timeout_s, "command_timeout": timeout_s}
        return create_async_engine(
            url, connect_args=arguments, pool_size=4, max_overflow=4, pool_timeout=timeout_s, pool_pre_ping=True
        )
    engine = create_async_engine(
        url, connect_args={"timeout": timeout_s}, pool_size=2, max_overflow=2, pool_timeout=timeout_s
    )
    event.listen(engine.sync_engine, "connect", _configure)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # `_begin` begins transactions: the driver would begin them too late
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any) -> None:
    # A transaction that first reads and then writes fails at once if another process wrote in between, unless it has
    # the lock from its start.
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _check_texts(
    _connection: Any, _cursor: Any, _statement: str, parameters: Any, _context: Any, executemany: bool
) -> None:
    """Raise `UnstorableText` for a text that PostgreSQL refuses: both databases then take the same texts."""
    rows: Iterable[Any] = parameters if executemany else (parameters,)
    for row in rows:
        for value in row.values() if isinstance(row, Mapping) else row:
            if isinstance(value, str) and not storable(value):
                raise UnstorableText


def _said(error: BaseException) -> str:
    """The cause without the statement and its values, which may be a caller's."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {said(cause)}"

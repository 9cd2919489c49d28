"""Tables, transactions and migrations in SQLite and PostgreSQL."""

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from serving.store import batch_tables, key_tables, record_tables
from serving.store.database import Database, database_url
from serving.store.errors import StoreUnavailable
from serving.store.settings import StoreSettings
from serving.store.tables import VALUES
from tests.support.store_servers import postgres_server

ROW = {"key": "k", "value": b"v", "expires_at": time.time() + 60}


async def test_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        (metadata,) = {tables.METADATA for tables in (batch_tables, key_tables, record_tables)}
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_many_processes_may_make_the_tables_at_once(database: Database, tmp_path: Path) -> None:
    others = [Database(database.url, database.timeout_s) for _ in range(4)]
    await asyncio.gather(*(one.start() for one in (database, *others)))
    for one in others:
        await one.ping()
        await one.close()


async def test_a_failed_block_changes_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.writing() as connection:
            await connection.execute(insert(VALUES), [{**ROW, "key": "failed"}])
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with database.reading() as connection:
        assert (await connection.execute(select(VALUES.c.key).where(VALUES.c.key == "failed"))).all() == []


async def test_a_wrong_row_is_our_own_error(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.writing() as connection:
            await connection.execute(insert(VALUES), [{**ROW, "key": "twice"}, {**ROW, "key": "twice"}])


async def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    """Each reads, then writes: SQLite refuses that at once unless a transaction has the lock from its start."""
    url = database_url(StoreSettings(path=str(tmp_path / "store.sqlite")), {})
    databases = [Database(url, 30) for _ in range(4)]

    async def grow(one: Database) -> None:
        for _ in range(5):
            async with one.writing() as connection:
                count = len((await connection.execute(select(VALUES.c.key))).all())
                await connection.execute(insert(VALUES), [{**ROW, "key": f"k{count}"}])

    await asyncio.gather(*(grow(one) for one in databases))
    async with databases[0].reading() as connection:
        assert len((await connection.execute(select(VALUES.c.key))).all()) == 20
    for one in databases:
        await one.close()


async def test_a_database_that_is_away_says_so_and_comes_back() -> None:
    with postgres_server() as server:
        database = Database(database_url(StoreSettings(), {"MOA_DATABASE_URL": server.url}), 20)
        await database.ping()
        server.kill()
        with pytest.raises(StoreUnavailable):
            await database.ping()
        server.start()
        await database.ping()
        await database.close()


async def test_a_file_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(database_url(StoreSettings(path=str(tmp_path / "file" / "store.sqlite")), {}), 2)
    with pytest.raises(StoreUnavailable):
        await database.ping()
    await database.close()


async def test_the_embedded_database_is_the_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "store.sqlite"
    database = Database(database_url(StoreSettings(path=str(file)), {}), 20)
    before = os.umask(0)
    try:
        await database.ping()
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (file.parent.parent, *file.parent.iterdir())}
    finally:
        os.umask(before)
        await database.close()
    assert modes.pop("new") == 0o700
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_a_database_that_does_not_answer_takes_each_caller_its_timeout_once(tmp_path: Path) -> None:
    """Nobody waits for the attempts of others."""

    async def hang() -> None:
        await asyncio.Event().wait()

    database = Database(database_url(StoreSettings(path=str(tmp_path / "store.sqlite")), {}), 0.05)
    database._migrate = hang
    results = await asyncio.wait_for(asyncio.gather(*(database.ping() for _ in range(50)), return_exceptions=True), 2.0)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    await database.close()


async def test_tables_of_a_newer_version_are_unavailable(tmp_path: Path) -> None:
    database = Database(database_url(StoreSettings(path=str(tmp_path / "store.sqlite")), {}), 20)
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999_later'"))
    await database.close()
    older = Database(database.url, 20)
    with pytest.raises(StoreUnavailable, match="newer version"):
        await older.ping()
    await older.close()

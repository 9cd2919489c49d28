"""Records that are written in the background."""

import asyncio
from pathlib import Path

from sqlalchemy import select

from serving.store.database import Database, database_url
from serving.store.settings import StoreSettings
from serving.store.store import Store
from serving.store.tables import VALUES
from serving.store.writer import RecordWriter
from serving.telemetry import Observer
from tests.support.store_servers import postgres_server


def row(number: int) -> dict[str, object]:
    return {"key": f"k{number:04}", "value": b"v", "expires_at": 1.0}


async def keys(database: Database) -> list[str]:
    async with database.reading() as connection:
        return list((await connection.execute(select(VALUES.c.key).order_by(VALUES.c.key))).scalars())


async def test_records_are_written_in_order_and_all_of_them_before_the_end(database: Database) -> None:
    lost: list[int] = []
    writer = RecordWriter(database, 2000, lost.append)
    writer.start()
    for number in range(1200):
        writer.add(VALUES, row(number))
    assert writer.pending == 1200
    await writer.close(60)
    assert [one for one in await keys(database) if one.startswith("k")] == [f"k{number:04}" for number in range(1200)]
    assert lost == []


async def test_records_wait_for_a_database_that_is_away() -> None:
    lost: list[int] = []
    with postgres_server() as server:
        database = Database(database_url(StoreSettings(), {"MOA_DATABASE_URL": server.url}), 20)
        await database.start()
        server.kill()
        writer = RecordWriter(database, 2, lost.append)
        writer.start()
        for number in range(3):
            writer.add(VALUES, row(number))
        assert not await writer.flush(0.3)
        assert lost == [1], "no more than two may wait"
        server.start()
        assert await writer.flush(60)
        assert await keys(database) == ["k0001", "k0002"]
        await writer.close(1)
        await database.close()


async def test_a_record_that_no_database_takes_stops_no_other_one(tmp_path: Path) -> None:
    lost: list[int] = []
    database = Database(database_url(StoreSettings(path=str(tmp_path / "store.sqlite")), {}), 20)
    writer = RecordWriter(database, 100, lost.append)
    writer.start()
    for entry in (row(0), {**row(1), "value": None}, row(2)):
        writer.add(VALUES, entry)
    assert await writer.flush(60)
    assert (await keys(database), lost) == (["k0000", "k0002"], [1])
    writer.add(VALUES, row(0))  # written before, by a transaction that seemed to fail
    writer.add(VALUES, row(3))
    assert await writer.flush(60)
    assert (await keys(database), lost) == (["k0000", "k0002", "k0003"], [1])
    await writer.close(1)
    await database.close()


async def test_a_store_tells_what_is_away_and_loses_what_waits_at_its_end(tmp_path: Path) -> None:
    class Seen(Observer):
        def __init__(self) -> None:
            self.parts: list[tuple[str, bool]] = []
            self.lost = 0

        def store_checked(self, part: str, available: bool) -> None:
            self.parts.append((part, available))

        def records_lost(self, count: int) -> None:
            self.lost += count

    seen = Seen()
    (tmp_path / "file").write_text("")
    store = Store(StoreSettings(path=str(tmp_path / "file" / "store.sqlite"), timeout_s=1), seen, {})
    await store.start()
    assert seen.parts == [("database", False), ("expiring", False)]
    store.records.add(VALUES, row(1))
    await asyncio.wait_for(store.close(), 60)
    assert seen.lost == 1

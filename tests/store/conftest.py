"""Real servers and databases for tests of the store."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from serving.store.database import Database, database_url
from serving.store.settings import StoreSettings
from tests.support.store_servers import Postgres, postgres_server, redis_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An embedded database of its own, or the PostgreSQL server of all tests."""
    settings = StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=20)
    embedded = request.param == "sqlite"
    environment = {} if embedded else {settings.database_env: request.getfixturevalue("postgres").url}
    database = Database(database_url(settings, environment), settings.timeout_s)
    yield database
    await database.close()

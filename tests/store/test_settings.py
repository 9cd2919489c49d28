"""Settings of the store: addresses from the environment, and the embedded database's file."""

import asyncio
from pathlib import Path

import pytest

from serving.errors import ConfigError
from serving.store.database import Database, database_url
from serving.store.settings import StoreSettings


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_an_address_in_the_environment_is_the_database(scheme: str) -> None:
    url = database_url(StoreSettings(), {"MOA_DATABASE_URL": f"{scheme}://moa:secret@db:5433/records"})
    assert (url.drivername, url.host, url.port, url.database) == ("postgresql+asyncpg", "db", 5433, "records")
    assert url.password == "secret"


@pytest.mark.parametrize("given", ["mysql://db/moa", "nonsense", "postgresql://db:port/moa"])
def test_another_address_is_refused_without_showing_it(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        database_url(StoreSettings(), {"MOA_DATABASE_URL": given})
    assert str(caught.value) == (
        "Set MOA_DATABASE_URL to an address such as postgresql://USER:KEY@HOST:5432/NAME, or unset it for the embedded"
        " database."
    )


@pytest.mark.parametrize(
    ("path", "environment", "file"),
    [
        (None, {"XDG_STATE_HOME": "/state"}, Path("/state/moa/store.sqlite")),
        (None, {}, Path.home() / ".local" / "state" / "moa" / "store.sqlite"),
        ("/data/own.sqlite", {"XDG_STATE_HOME": "/state"}, Path("/data/own.sqlite")),
    ],
)
def test_the_embedded_database_is_one_file(path: str | None, environment: dict[str, str], file: Path) -> None:
    url = database_url(StoreSettings(path=path), environment)
    assert (url.drivername, url.database) == ("sqlite+aiosqlite", str(file))


def test_the_tls_of_postgresql_is_chosen_by_libpqs_option() -> None:
    url = database_url(StoreSettings(), {"MOA_DATABASE_URL": "postgresql://db/moa?sslmode=require"})
    assert dict(url.query) == {"ssl": "require"}


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("sslrootcert=/x", "Remove 'sslrootcert' from MOA_DATABASE_URL: the only option is sslmode="),
        ("sslmode=always", "Remove another value of 'sslmode' from MOA_DATABASE_URL: the only option is sslmode="),
    ],
)
def test_other_options_of_the_address_are_refused(option: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        database_url(StoreSettings(), {"MOA_DATABASE_URL": f"postgresql://db/moa?{option}"})


@pytest.mark.parametrize(
    "given", ["redis://:SECRETPW#x@h:6379/0", "redis://h:port/0", "redis://:SE[CRETPW@h/0", "redis://:a/b@h:1/0"]
)
def test_a_wrong_address_of_redis_is_refused_without_showing_it(given: str) -> None:
    with pytest.raises(ConfigError, match="Set MOA_REDIS_URL to an address") as caught:
        StoreSettings().redis_url({"MOA_REDIS_URL": given})
    assert "SE" not in str(caught.value).replace("Set", "")


def test_only_the_owner_may_read_the_embedded_database(tmp_path: Path) -> None:
    async def make() -> None:
        database = Database(database_url(StoreSettings(path=str(tmp_path / "store.sqlite")), {}), 20)
        await database.start()
        await database.close()

    asyncio.run(make())
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o600"}


def test_redis_has_an_address_of_its_own() -> None:
    settings = StoreSettings()
    assert settings.redis_url({}) is None
    given = settings.redis_url({"MOA_REDIS_URL": "rediss://:secret@cache:6379/0"})
    assert given.get_secret_value() == "rediss://:secret@cache:6379/0"
    assert "secret" not in repr(given)
    with pytest.raises(ConfigError, match="Set MOA_REDIS_URL to an address such as redis://:KEY@HOST:6379/0"):
        settings.redis_url({"MOA_REDIS_URL": "http://cache"})


@pytest.mark.parametrize("place", ["a folder", "below a file", "no database"])
def test_a_file_that_cannot_be_the_database_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "text").write_text("some other file")
    file = {"a folder": tmp_path, "below a file": tmp_path / "text" / "store.sqlite", "no database": tmp_path / "text"}
    settings = StoreSettings(path=str(file[place]))
    with pytest.raises(ConfigError, match=r"The store cannot be kept in .*: set store\.path to a file"):
        settings.check_file({})
    settings.check_file({"MOA_DATABASE_URL": "postgresql://host/name"})
    StoreSettings(path=str(file[place]), enabled=False).check_file({})
    assert (tmp_path / "text").read_text() == "some other file"


async def test_a_file_that_can_be_the_database_is_made_and_stays_one(tmp_path: Path) -> None:
    settings = StoreSettings(path=str(tmp_path / "new" / "store.sqlite"))
    settings.check_file({})
    database = Database(database_url(settings, {}), 20)
    await database.ping()
    await database.close()
    settings.check_file({})

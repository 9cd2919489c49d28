"""Settings of the store."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from serving.config import Frozen
from serving.errors import ConfigError
from serving.store.private_files import make_file
from serving.store.record_settings import RecordSettings

SQLITE = b"SQLite format 3\0"  # the beginning of a database
REDIS = ("redis://", "rediss://", "unix://")


class StoreSettings(Frozen):
    """Place of the state that outlives a request. Addresses, which can have passwords, come from the environment."""

    enabled: bool = Field(default=True, description="Keep state. False: nothing is stored or counted across requests.")
    path: str | None = Field(
        default=None,
        min_length=1,
        description="File of the embedded SQLite database, used if the variable `database_env` is not set. Each node"
        " has its own. Null: moa/store.sqlite in $XDG_STATE_HOME, or in ~/.local/state.",
    )
    database_env: str = Field(
        default="MOA_DATABASE_URL",
        min_length=1,
        description="Environment variable with the address of a PostgreSQL database: postgresql://USER:KEY@HOST/NAME.",
    )
    redis_env: str = Field(
        default="MOA_REDIS_URL",
        min_length=1,
        description="Environment variable with the address of a Redis or Valkey server for state that expires:"
        " redis://HOST:PORT/0. Without it that state is in the database.",
    )
    timeout_s: float = Field(default=2.0, gt=0, le=60, description="Maximum time of one operation of the database.")
    redis_timeout_s: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="Maximum time of one operation of Redis, for which an answer may wait. If it takes longer, Redis is"
        " away until a check, every 5 s, reaches it.",
    )
    max_pending_records: int = Field(
        default=20_000,
        ge=1,
        description="Maximum number of records that wait to be written; beyond it, the oldest are lost.",
    )
    records: RecordSettings = Field(default=RecordSettings(), description="Records of requests.")

    def file(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Path of the embedded database."""
        if self.path is not None:
            return Path(self.path).expanduser()
        states = environment.get("XDG_STATE_HOME", "") or "~/.local/state"
        return Path(states).expanduser() / "moa" / "store.sqlite"

    def check_file(self, environment: Mapping[str, str] = os.environ) -> None:
        """Make the embedded database's folders and file, if it is used. Raises `ConfigError` if it cannot be used."""
        if not self.enabled or environment.get(self.database_env, "").strip():
            return
        file = self.file(environment)
        advice = f"set store.path to a file in a folder that this user may write, or {self.database_env}"
        try:
            make_file(file)
            with file.open("rb+") as opened:
                head = opened.read(len(SQLITE))
        except OSError as error:
            raise ConfigError(f"The store cannot be kept in {file} ({error.strerror}): {advice}.") from None
        if head not in (b"", SQLITE):
            raise ConfigError(f"The store cannot be kept in {file}, which is no SQLite database: {advice}.")
        if not os.access(file.parent, os.W_OK | os.X_OK):  # SQLite makes further files there
            raise ConfigError(f"The store cannot be kept in {file.parent}, a folder without write access: {advice}.")

    def redis_url(self, environment: Mapping[str, str] = os.environ) -> SecretStr | None:
        """Address of Redis or Valkey, if there is one. Raises `ConfigError` if the variable has another one."""
        given = environment.get(self.redis_env, "").strip()
        if not given:
            return None
        try:
            parts = urlsplit(given)
            good = given.startswith(REDIS) and not parts.fragment and (parts.port is None or parts.port > 0)
        except ValueError:  # brackets, or a port; its text can have a part of the password
            good = False
        if not good:
            raise ConfigError(
                f"Set {self.redis_env} to an address such as redis://:KEY@HOST:6379/0, with %23 for '#' and %2F for '/'"
                " in the key, or unset it."
            )
        return SecretStr(given)

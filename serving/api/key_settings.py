"""Settings of one API key."""

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from serving.api.limit_settings import KeyLimits
from serving.config import Frozen
from serving.errors import ConfigError

PriorityClass = Literal["interactive", "standard", "batch"]
NO_KEY = "none"  # name of the callers of a server without keys
ADMIN_KEY = "admin-key"  # name of the caller with the key `admin_key`
KEY_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
PLAIN_NAME = re.compile(r"key-\d+")  # of a key of `api_key`


def reserved(name: str) -> bool:
    """True if the name stands for callers without a named key."""
    return name in (NO_KEY, ADMIN_KEY) or PLAIN_NAME.fullmatch(name) is not None


class KeySettings(Frozen):
    """A key with a name. Keys of one name are one caller, so that a key can be replaced without a break."""

    name: str = Field(
        min_length=1,
        max_length=64,
        pattern=KEY_NAME,
        description="Name of the key's owner, for metrics, the request log and messages.",
    )
    key: SecretStr | None = Field(default=None, description="The key itself; better in the environment: `key_env`.")
    key_env: str | None = Field(
        default=None, min_length=1, description="Environment variable of the API's replicas that has the key."
    )
    priority_class: PriorityClass | None = Field(
        default=None,
        description="Class of the key's requests: engines run `interactive` before `standard` before `batch`. Null:"
        " `api.priority_class`.",
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of the key's requests in progress per replica of the API; beyond it, 429. Null:"
        " `api.max_in_flight_per_key`.",
    )
    models: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Ids of the models and recipes that the key may use; to it, others do not exist. Null: all.",
    )
    limits: KeyLimits = Field(
        default=KeyLimits(),
        description="Limits and budgets of the key over all replicas; for those not given, `api.limits`.",
    )
    admin: bool = Field(default=False, description="Let the key manage the keys of the store at /v1/admin/keys.")

    @model_validator(mode="after")
    def _there_is_one_key(self) -> Self:
        if (self.key is None) == (self.key_env is None):
            raise ValueError(f"the key '{self.name}' needs either 'key' or 'key_env'")
        if self.key is not None and not self.key.get_secret_value().strip():
            raise ValueError(f"the key '{self.name}' is empty, which would let everyone in")
        if reserved(self.name):
            raise ValueError(f"the name '{self.name}' stands for callers without a named key; choose another")
        return self

    def read(self, environment: Mapping[str, str]) -> "KeySettings":
        """The same with its key, which `environment` may have. Raises `ConfigError` if it has none."""
        if self.key_env is None:
            return self
        if not (key := environment.get(self.key_env, "").strip()):
            raise ConfigError(f"Set the environment variable {self.key_env} to the API key '{self.name}' of api.keys.")
        return self.model_copy(update={"key": SecretStr(key), "key_env": None})

"""Settings of a key in the store, and what a request or a command gives of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, Field, field_validator
from pydantic_core import PydanticCustomError

from serving.api.key_settings import KEY_NAME, PriorityClass
from serving.api.limit_settings import KeyLimits
from serving.config import Frozen

MAX_GRACE_S = 366 * 86_400.0


class StoredSettings(Frozen):
    """Settings of a key in the store; the same fields as those of a named key in the profile."""

    models: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Ids of the models and recipes that the key may use; null: all."
    )
    priority_class: PriorityClass | None = Field(
        default=None, description="Class of the key's requests; null: `api.priority_class`."
    )
    max_in_flight: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        description="Maximum number of requests in progress per replica of the API; null: `api.max_in_flight_per_key`.",
    )
    limits: KeyLimits = Field(
        default=KeyLimits(), description="Limits and budgets; for those not given, `api.limits`; null: none."
    )


class KeyChanges(StoredSettings):
    """Changes of a key in the store. Fields that are not given stay as they are; `limits` are replaced as a whole."""

    team: str = Field(default="", max_length=64, description="Team whose key it is, for listings and reports.")
    admin: bool = Field(default=False, strict=True, description="Let the key manage keys.")
    expires_at: AwareDatetime | None = Field(
        default=None, description="Time after which the key is refused, such as `2027-01-31T00:00:00Z`; null: never."
    )

    @field_validator("expires_at")
    @classmethod
    def _later(cls, value: datetime | None) -> datetime | None:
        if value is not None and value <= datetime.now(UTC):
            raise PydanticCustomError("datetime_future", "Input should be in the future")
        return value

    def columns(self, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The given fields, as columns of the table of keys. `settings`: those to change; None: of a new key."""
        given = self.model_dump(mode="json", include={*StoredSettings.model_fields}, exclude_unset=True)
        columns: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set & {"team", "admin"}}
        if "expires_at" in self.model_fields_set:
            columns["expires_at"] = None if self.expires_at is None else self.expires_at.timestamp()
        if given or settings is None:
            columns["settings"] = {**(settings or {}), **given}
        return columns


class NewKey(KeyChanges):
    """A key to make in the store."""

    name: str = Field(
        min_length=1, max_length=64, pattern=KEY_NAME, description="Name of the key's owner; no other valid key has it."
    )


class Rotation(Frozen):
    """The replacement of a key by a new one of the same name and settings."""

    grace_s: float = Field(
        default=0.0, strict=True, ge=0, le=MAX_GRACE_S, description="Seconds for which the former key stays valid."
    )


def iso(at: float | None) -> str | None:
    """A Unix time as text, in UTC."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"

"""JSON of the management of keys: what administrators read."""

from typing import Any, Literal

from pydantic import Field

from serving.api.key_settings import PriorityClass
from serving.api.schemas.answers import Read
from serving.api.stored_settings import iso
from serving.store.key_store import KeyRecord


class KeyRead(Read):
    """A key in the store."""

    object: Literal["key"]
    id: str
    name: str
    team: str
    prefix: str = Field(description="Beginning of the key.")
    status: Literal["valid", "expired", "revoked"]
    admin: bool
    models: list[str] | None = Field(description="Models and recipes that it may use; null: all.")
    priority_class: PriorityClass | None
    max_in_flight: int | None
    limits: dict[str, Any] = Field(description="The limits that were given to it; for others, `api.limits`.")
    created_at: str
    changed_at: str
    expires_at: str | None
    revoked_at: str | None


class KeyMade(KeyRead):
    """A new key, with its text, which cannot be read again."""

    key: str = Field(description="The key: it is shown here only.")


class KeyList(Read):
    """Keys in the store."""

    object: Literal["list"]
    data: list[KeyRead]


def key_json(record: KeyRecord, now: float) -> dict[str, Any]:
    """A key as it is shown, without anything from which it could be made."""
    status = "valid" if record.valid(now) else "expired" if record.revoked_at is None else "revoked"
    settings = record.settings
    return {
        "object": "key",
        "id": record.id,
        "name": record.name,
        "team": record.team,
        "prefix": record.prefix,
        "status": status,
        "admin": record.admin,
        "models": settings.get("models"),
        "priority_class": settings.get("priority_class"),
        "max_in_flight": settings.get("max_in_flight"),
        "limits": settings.get("limits", {}),
        "created_at": iso(record.created_at),
        "changed_at": iso(record.changed_at),
        "expires_at": iso(record.expires_at),
        "revoked_at": iso(record.revoked_at),
    }

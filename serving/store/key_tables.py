"""Tables of API keys and of what their callers have spent."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, String, Table, Text

from serving.store.tables import METADATA

KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),  # part of the key's text
    Column("name", String(64), nullable=False),  # of the caller; several keys while one is replaced
    Column("team", String(64), nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of the salt and the key
    Column("settings", Text, nullable=False),  # JSON: models, limits, priority class
    Column("admin", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),  # Unix time, seconds, as all times
    Column("changed_at", Double, nullable=False),
    Column("expires_at", Double),  # null: never
    Column("revoked_at", Double),  # null: it is valid
    Index("api_keys_by_name", "name"),
    Index("api_keys_by_change", "changed_at"),
)
SPENDING = Table(
    "key_spending",
    METADATA,
    Column("name", String(64), primary_key=True),  # of the caller
    Column("period", String(10), primary_key=True),  # in UTC: a day 2026-11-29, or a month 2026-11
    Column("tokens", BigInteger, nullable=False),
    Column("usd", Double, nullable=False),
)

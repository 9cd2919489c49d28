"""Metadata of all tables, and the tables of state that expires. `migrations` makes them."""

from sqlalchemy import Column, Double, Index, LargeBinary, MetaData, String, Table

METADATA = MetaData()

KEY_CHARACTERS = 200  # maximum length of a key of state that expires

VALUES = Table(
    "expiring_values",
    METADATA,
    Column("key", String(KEY_CHARACTERS), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False),  # Unix time, seconds
    Index("expiring_values_by_time", "expires_at"),
)
COUNTERS = Table(
    "expiring_counters",
    METADATA,
    Column("key", String(KEY_CHARACTERS), primary_key=True),
    Column("amount", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("expiring_counters_by_time", "expires_at"),
)

"""Tables of state that expires."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001_expiring", None
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the tables."""
    for name, column in (
        ("expiring_values", sa.Column("value", sa.LargeBinary, nullable=False)),
        ("expiring_counters", sa.Column("amount", sa.Double, nullable=False)),
    ):
        op.create_table(
            name,
            sa.Column("key", sa.String(200), primary_key=True),
            column,
            sa.Column("expires_at", sa.Double, nullable=False),
        )
        op.create_index(f"{name}_by_time", name, ["expires_at"])

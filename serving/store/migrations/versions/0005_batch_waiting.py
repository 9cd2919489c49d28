"""The reason for which lines of a batch wait."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0005_batch_waiting", "0004_batches"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("batches", sa.Column("waiting", sa.Text))

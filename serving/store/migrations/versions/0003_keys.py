"""Tables of keys, limits and budgets."""

revision, down_revision = "0003_keys", "0002_records"
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the tables."""
    return

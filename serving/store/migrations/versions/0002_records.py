"""Tables of records: requests, feedback, judgements."""

revision, down_revision = "0002_records", "0001_expiring"
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the tables."""
    return

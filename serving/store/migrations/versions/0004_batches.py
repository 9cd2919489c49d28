"""Tables of batches and their files."""

revision, down_revision = "0004_batches", "0003_keys"
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the tables."""
    return

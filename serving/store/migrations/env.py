"""Alembic's environment: runs the migrations in the transaction of the given connection."""

from alembic import context

from serving.store import batch_tables, key_tables, record_tables  # noqa: F401  # add their tables to METADATA
from serving.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()

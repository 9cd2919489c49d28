"""Tables of batches: their files, the batches, and the results of their lines. Times are Unix times in seconds."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, String, Table, Text

from serving.store.tables import METADATA

FILES = Table(
    "files",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("stored", Boolean, nullable=False),  # False: the content is still being written
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("files_by_owner", "owner", "created_at", "id"),
    Index("files_by_expiry", "expires_at"),
)
BATCHES = Table(
    "batches",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("endpoint", String(80), nullable=False),
    Column("input_file_id", String(64), nullable=False),
    Column("status", String(20), nullable=False),
    Column("metadata", Text),  # JSON
    Column("model", String(256)),
    Column("errors", Text),  # JSON
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),  # this and the next two: once the results are in files
    Column("failed", Integer, nullable=False),
    Column("usage", Text),  # JSON
    Column("output_file_id", String(64)),
    Column("error_file_id", String(64)),
    Column("output_ttl_s", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("in_progress_at", Double),
    Column("finalizing_at", Double),
    Column("completed_at", Double),
    Column("failed_at", Double),
    Column("expired_at", Double),
    Column("cancelling_at", Double),
    Column("cancelled_at", Double),
    Column("waiting", Text),  # JSON: the reason for which lines wait
    Index("batches_by_owner", "owner", "created_at", "id"),
    Index("batches_by_status", "status"),
)
RESULTS = Table(
    "batch_results",
    METADATA,
    Column("batch_id", String(64), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),  # of the input file, from 1
    Column("ok", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),  # the line of the output or error file
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
)

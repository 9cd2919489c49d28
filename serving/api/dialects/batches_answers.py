"""JSON of files and batches."""

import json
from collections.abc import Sequence
from typing import Any

from serving.batches.output import usage_json
from serving.store.batch_files import StoredFile
from serving.store.batch_results import Counts
from serving.store.batch_rows import Batch

Json = dict[str, Any]
WINDOW = "24h"
TIMES = (
    *("created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at"),
    *("cancelling_at", "cancelled_at"),
)


def file_json(file: StoredFile) -> Json:
    """OpenAI's file object."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": int(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def batch_json(batch: Batch, so_far: Counts | None) -> Json:
    """OpenAI's batch object. `so_far`: results of a batch that has not ended."""
    counts = so_far or Counts(batch.completed, batch.failed)
    usage = json.loads(batch.usage) if batch.usage else None
    if so_far is not None:
        usage = usage_json(so_far.usage)
    times = {name: None if (at := getattr(batch, name)) is None else int(at) for name in TIMES}
    waiting = json.loads(batch.waiting) if batch.waiting and batch.status == "in_progress" else None
    ended = batch.status == "expired" or not batch.expired_at
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model,
        "errors": {"object": "list", "data": json.loads(batch.errors)} if batch.errors else None,
        "input_file_id": batch.input_file_id,
        "completion_window": WINDOW,
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        **(times if ended else {**times, "expired_at": None}),
        "request_counts": {"total": batch.total, "completed": counts.completed, "failed": counts.failed},
        "usage": usage,
        "metadata": json.loads(batch.metadata) if batch.metadata else None,
        "moa": None if waiting is None else {"waiting": waiting},
    }


def page_json(rows: Sequence[Json], limit: int) -> Json:
    """A list of at most `limit` of `rows`, which has one more if there are more."""
    shown = rows[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(rows) > limit,
    }

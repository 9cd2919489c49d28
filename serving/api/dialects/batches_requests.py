"""Parsing of requests for files and batches."""

import json
import time
import uuid
from collections.abc import Mapping

from serving.api.dialects.unions import validated
from serving.api.schemas.batches import MAX_TTL_S, MIN_TTL_S, BatchBody
from serving.api.schemas.wire import json_object
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest, UnsupportedField
from serving.store.batch_rows import Batch
from serving.validation import abbreviated

WINDOW_S = 86_400.0
ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"  # fields of an upload's form
ANCHOR_EVENT = "created_at"
PURPOSE = "batch"
MAX_NAME_CHARACTERS = 255


def parse_batch(body: bytes, settings: ApiSettings) -> BatchBody:
    """Parse and validate the JSON of a request.

    Raises:
        InvalidRequest: the body is not JSON, or a value has the wrong type or is out of range.
        UnsupportedField: a field is unknown.
    """
    return validated(json_object(body, settings), BatchBody)


def new_batch(body: BatchBody, owner: str, file_ttl_s: float) -> Batch:
    """A batch that nobody has looked at. `file_ttl_s`: of its output, unless the body has another time."""
    now = time.time()
    expiry = body.output_expires_after
    return Batch(
        id=f"batch_{uuid.uuid4().hex}",
        owner=owner,
        endpoint=body.endpoint,
        input_file_id=body.input_file_id,
        status="validating",
        metadata=json.dumps(body.metadata) if body.metadata else None,
        model=None,
        errors=None,
        total=0,
        completed=0,
        failed=0,
        usage=None,
        output_file_id=None,
        error_file_id=None,
        output_ttl_s=file_ttl_s if expiry is None else expiry.seconds,
        created_at=now,
        expires_at=now + WINDOW_S,
    )


def upload_ttl_s(fields: Mapping[str, str], default_s: float) -> float:
    """Seconds that an uploaded file is kept, from the form's other fields.

    Raises:
        InvalidRequest: a field has a wrong value.
        UnsupportedField: a field is unknown.
    """
    if unknown := sorted(fields.keys() - {"purpose", ANCHOR, SECONDS}):
        raise UnsupportedField(abbreviated(unknown[0]), "there is no such field")
    if fields.get("purpose") != PURPOSE:
        raise InvalidRequest(f"Set 'purpose' to '{PURPOSE}': files are for batches only.", "purpose")
    if not {ANCHOR, SECONDS} & fields.keys():
        return default_s
    if fields.get(ANCHOR) != ANCHOR_EVENT:
        raise InvalidRequest(f"Set '{ANCHOR}' to '{ANCHOR_EVENT}'.", ANCHOR)
    given = fields.get(SECONDS, "")
    if not (given.isascii() and given.isdigit() and len(given) < 10 and MIN_TTL_S <= int(given) <= MAX_TTL_S):
        raise InvalidRequest(f"Set '{SECONDS}' to a number from {MIN_TTL_S} to {MAX_TTL_S}.", SECONDS)
    return float(given)


def file_name(given: str | None) -> str:
    """Name of an uploaded file, without folders. Raises `InvalidRequest` if it cannot be shown."""
    name = (given or "").replace("\\", "/").rpartition("/")[2]
    if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidRequest(f"Give the file a name of 1 to {MAX_NAME_CHARACTERS} printable characters.", "file")
    return name


def whole_number(given: str | None, name: str, default: int, maximum: int) -> int:
    """A number in the query of a list. Raises `InvalidRequest`."""
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 7 and 1 <= int(given) <= maximum):
        raise InvalidRequest(f"Set '{name}' to a number from 1 to {maximum}.", name)
    return int(given)

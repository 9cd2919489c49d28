"""Bodies and answers of `/v1/files` and `/v1/batches`. Names follow OpenAI's reference."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from serving.api.schemas import chat_fields as fields
from serving.api.schemas.answers import Read
from serving.api.schemas.chat import MetadataKey, MetadataValue
from serving.api.schemas.wire import Wire, at_most

Endpoint = Literal[
    "/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/messages", "/v1/embeddings", "/v1/rerank"
]
Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
MIN_TTL_S, MAX_TTL_S = 3600, 2_592_000  # of files: an hour and 30 days


class ExpiresAfter(Wire):
    """Time after which a file is removed."""

    anchor: Literal["created_at"] = Field(description="The time begins when the file is made.")
    seconds: int = Field(ge=MIN_TTL_S, le=MAX_TTL_S, description="Seconds from then on.")


class BatchBody(Wire):
    """A request for a batch."""

    input_file_id: str = Field(min_length=1, max_length=64, description="Id of an uploaded file: a request a line.")
    endpoint: Endpoint = Field(description="Path of all requests of the file.")
    completion_window: Literal["24h"] = Field(description="Time after which the batch ends in any case.")
    metadata: Annotated[dict[MetadataKey, MetadataValue], BeforeValidator(at_most(16))] = Field(
        default={},
        json_schema_extra=fields.METADATA,
        description="Up to 16 strings of up to 512 characters, with keys of up to 64; part of the batch.",
    )
    output_expires_after: ExpiresAfter | None = Field(
        default=None, description="When the output and error files are removed. Default: `batches.file_ttl_s`."
    )


class FileRead(Read):
    """A file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int = Field(description="Unix time in seconds, as all times here.")
    expires_at: int
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]
    status_details: None


class FileList(Read):
    """Files of the caller."""

    object: Literal["list"]
    data: list[FileRead]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Read):
    """A file that was removed."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class BatchErrorRead(Read):
    """An error of an input file."""

    code: str
    message: str = Field(description="One sentence that says what to change.")
    line: int | None = Field(description="Line of the file, from 1; null: the whole file.")
    param: str | None


class BatchErrors(Read):
    """Errors of an input file, of which the first 100 lines are listed."""

    object: Literal["list"]
    data: list[BatchErrorRead]


class RequestCounts(Read):
    """Lines of a batch."""

    total: int
    completed: int
    failed: int


class WaitingRead(Read):
    """The reason for which lines of a batch wait."""

    code: str = Field(description="Code of the error with which they are refused, such as `insufficient_quota`.")
    message: str
    since: int


class BatchMoa(Read):
    """This server's own fields of a batch."""

    waiting: WaitingRead = Field(description="The reason for which no line has had a result for 10 s or longer.")


class BatchRead(Read):
    """A batch."""

    id: str
    object: Literal["batch"]
    endpoint: Endpoint
    model: str | None = Field(description="The model of all lines; null: they name several, or are not read yet.")
    errors: BatchErrors | None
    input_file_id: str
    completion_window: Literal["24h"]
    status: Status
    output_file_id: str | None = Field(description="File with the answers, once the batch has ended.")
    error_file_id: str | None = Field(description="File with the lines that failed or were not answered.")
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: dict[str, Any] | None = Field(description="Tokens of all answers, as in the Responses API.")
    metadata: dict[str, str] | None
    moa: BatchMoa | None = Field(description="Null: no line waits.")


class BatchList(Read):
    """Batches of the caller."""

    object: Literal["list"]
    data: list[BatchRead]
    first_id: str | None
    last_id: str | None
    has_more: bool

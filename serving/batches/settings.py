"""Settings of batches."""

from pydantic import Field

from serving.config import Frozen

FILES_FOLDER = "files"  # beside the embedded database


class BatchSettings(Frozen):
    """Batches: files of requests that are answered in the background. Durations are in seconds."""

    enabled: bool | None = Field(
        default=None,
        description="Answer /v1/files and /v1/batches. Null: if the store is enabled and all replicas share it: the"
        " server is started on this machine, or has a PostgreSQL database and `files`.",
    )
    files: str | None = Field(
        default=None,
        description="Place of the files: file:///FOLDER, which all orchestrators and the worker must share, or"
        " s3://BUCKET/PREFIX. Null: the folder `files` beside the embedded database.",
    )
    max_concurrent: int = Field(
        default=16, ge=1, le=4096, description="Maximum number of lines in progress while nobody else is answered."
    )
    quiet_s: float = Field(
        default=30,
        ge=0,
        description="Time without other requests after which batches have up to `max_concurrent` lines in progress.",
    )
    max_beside: float = Field(
        default=0.1,
        ge=0,
        description="Maximum number of lines in progress while others are answered, as a share of their requests in"
        " progress: 0.1 is one line beside ten requests. Raise it if the engines have room.",
    )
    min_concurrent: int = Field(
        default=1,
        ge=0,
        le=4096,
        description="Lines in progress however busy the orchestrators are, each followed by a pause of `rest_s`;"
        " 0: batches then wait.",
    )
    rest_s: float = Field(
        default=20,
        ge=0,
        description="Pause after each of the `min_concurrent` lines, so that few other requests meet one.",
    )
    max_load: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Requests in progress, as a share of `api.max_in_flight` of all orchestrators, at which batches"
        " have `min_concurrent` lines whatever `max_beside` is. A quarter of `max_in_flight` is what the engines can"
        " compute at once.",
    )
    max_file_bytes: int = Field(
        default=200 * 2**20, ge=1024, description="Maximum size of an uploaded file in bytes; beyond it, 413."
    )
    max_lines: int = Field(default=50_000, ge=1, description="Maximum number of requests in a file.")
    max_stored_bytes: int = Field(
        default=10 * 2**30, ge=1024, description="Maximum size of all files of one key, in bytes."
    )
    max_open: int = Field(default=100, ge=1, description="Maximum number of batches of one key that have not ended.")
    max_uploads: int = Field(
        default=4,
        ge=1,
        description="Maximum number of files that one replica of the API receives at once, each up to `max_file_bytes`"
        " on its disk; beyond it, 429.",
    )
    upload_timeout_s: float = Field(default=600, gt=0, description="Timeout for receiving a file; then 408.")
    file_ttl_s: int = Field(
        default=30 * 86_400,
        ge=3600,
        description="Time after which files are removed unless the request says another one, and batches that have"
        " ended with them.",
    )
    retry_s: float = Field(
        default=3600,
        ge=0,
        description="Time for which a line is tried again whose answer is 429, 502 or 503; then that is its result.",
    )
    lease_s: float = Field(
        default=30,
        ge=5,
        description="Time after which another worker continues a batch whose worker has stopped without a word.",
    )

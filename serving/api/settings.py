"""What an operator can set of the API. Every limit has a default."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from serving.config import Frozen


class ApiSettings(Frozen):
    """Limits and times of the HTTP API; times in seconds, sizes in bytes."""

    api_key: SecretStr | tuple[SecretStr, ...] | None = Field(
        default=None, description="One key, or several while they are rotated; null: /v1 is open to all."
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Requests worked on at once by one replica; beyond it, 429. Null: four times what the profile's"
        " engines compute at once of its first recipe (see architecture.md); 256 where that is not known.",
    )
    retry_after_s: float = Field(default=1.0, gt=0, description="What a 429 of this API tells the caller to wait.")
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="A request's size at most; beyond it, 413.")
    max_reading_bytes: int = Field(
        default=64 * 2**20, ge=1024, description="Bytes of all requests that are being read; beyond it, 429."
    )
    body_timeout_s: float = Field(default=30.0, gt=0, description="How long a caller may take to send its body.")
    max_messages: int = Field(default=1024, ge=1, description="A conversation's length at most.")
    max_tokens: int = Field(default=131_072, ge=1, description="The most that max_tokens may ask for.")
    max_choices: int = Field(default=16, ge=1, description="The most that n may ask for.")
    deadline_s: float = Field(default=600.0, gt=0, description="A request's whole time; then 504.")
    first_item_wait_s: float = Field(
        default=2.0,
        ge=0,
        description="How long a stream is held back for its first item, so that an early error has its own status.",
    )
    keep_alive_s: float = Field(default=5.0, gt=0, description="A stream that is silent for so long gets a comment.")
    health_timeout_s: float = Field(default=10.0, gt=0, description="How long /ready waits for each engine.")
    health_cache_s: float = Field(default=1.0, ge=0, description="How long /ready repeats its last answer.")
    echo_request_id: bool = Field(
        default=True,
        description="Send x-request-id back; false where a server in front does, as Ray Serve's proxies do.",
    )
    log_requests: bool = Field(
        default=False,
        description="Write a line of JSON into the log `serving.requests` as each request ends: ids, model, outcome,"
        " degraded, tokens, seconds, and the caller's user and metadata; no texts, no keys.",
    )
    versions: Mapping[str, str] = Field(default_factory=dict, description="More rows for /version.")

    @field_validator("api_key")
    @classmethod
    def _keys_are_not_empty(cls, given: SecretStr | tuple[SecretStr, ...] | None) -> object:
        _keys(given)
        return given

    @model_validator(mode="after")
    def _the_largest_body_can_be_read(self) -> Self:
        if self.max_reading_bytes < self.max_body_bytes:
            raise ValueError(f"max_reading_bytes must be at least max_body_bytes, {self.max_body_bytes}")
        return self

    def keys(self) -> tuple[bytes, ...]:
        """The accepted keys; empty where none is asked for.

        Raises:
            ValueError: a key is empty, or the tuple is (settings that were copied have not been validated).
        """
        return _keys(self.api_key)


def _keys(given: SecretStr | tuple[SecretStr, ...] | None) -> tuple[bytes, ...]:
    if given is None:
        return ()
    secrets = given if isinstance(given, tuple) else (given,)
    keys = tuple(secret.get_secret_value().strip().encode() for secret in secrets)
    if not keys or not all(keys):
        raise ValueError("an empty key would let everyone in; set a key, or null to ask for none")
    return keys

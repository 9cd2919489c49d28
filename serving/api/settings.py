"""Settings of the HTTP API."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from serving.api.image_settings import ImageSettings
from serving.api.key_settings import KeySettings, PriorityClass
from serving.api.limit_settings import KeyLimits
from serving.cache.settings import CacheSettings
from serving.config import Frozen
from serving.grammars.limits import SchemaLimits
from serving.log_format import LogFormat
from serving.redaction import InvalidKey, check_key
from serving.usage import UsageScope

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.\[\]:_-]+")  # a browser writes it in lower case
MIN_SECRET_CHARACTERS = 16

ModelName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^\S+$")]


class ApiSettings(Frozen):
    """Keys, limits and timeouts of the HTTP API. Durations are in seconds."""

    api_key: SecretStr | tuple[SecretStr, ...] | None = Field(
        default=None,
        description="API key that /v1 requires, or a list of accepted keys; one line of printable ASCII. Null: no key"
        " is required, unless `keys` has some.",
    )
    keys: tuple[KeySettings, ...] = Field(
        default=(),
        description="Accepted keys with names, each with its priority class and its limit; beside those of `api_key`.",
    )
    admin_key: SecretStr | None = Field(
        default=None,
        description="Key that manages the keys of the store at /v1/admin/keys, and may do all that other keys may;"
        " better in the environment: `admin_key_env`. Null: named keys with `admin` do.",
    )
    admin_key_env: str = Field(
        default="MOA_ADMIN_KEY",
        min_length=1,
        description="Environment variable of the API's replicas with `admin_key`.",
    )
    require_key: bool = Field(
        default=False,
        description="Require a key even if neither the profile nor the environment has one: then only keys of the store"
        " are accepted, which `python -m serving.keys` makes. Where a key is required, those are always accepted.",
    )
    keys_refresh_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Time between two readings of the keys in the store: a revoked key is refused after it at the"
        " latest.",
    )
    limits: KeyLimits = Field(
        default=KeyLimits(),
        description="Limits and budgets of each caller, for what `limits` of its key does not give. All callers without"
        " keys are one.",
    )
    limits_without_store: Literal["allow", "refuse"] = Field(
        default="allow",
        description="Requests of callers with limits while the store cannot be reached: `allow` them by the counters of"
        " each replica alone, or `refuse` them with 503.",
    )
    priority_class: PriorityClass = Field(
        default="standard",
        description="Class of callers whose key has none, and of all callers without keys: engines run `interactive`"
        " before `standard` before `batch`.",
    )
    share_between_keys: bool = Field(
        default=False,
        description="Let callers with different keys share cached prompts, references and equal calls in progress."
        " Answers stay the same, but times and `cached_tokens` then tell whether somebody else has asked the same.",
    )
    tenant_secret: SecretStr | None = Field(
        default=None,
        description="Secret from which the salts of the keys' caches are made; the same in all replicas. Null: made of"
        " all keys, so that a change of the keys empties the caches.",
    )
    max_in_flight_per_key: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of requests in progress of one key per replica of the API; beyond it, 429. Null: a"
        " key may use all that `max_in_flight` allows, as long as each other key has its equal share.",
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of requests in progress per replica of the API; beyond it, 429. Null: four times"
        " the number that the profile's engines can run at once of its first recipe (see architecture.md), or 256 if"
        " that is unknown.",
    )
    retry_after_s: float = Field(
        default=1.0, gt=0, description="Value of the `retry-after` header of the API's own 429 responses, in seconds."
    )
    max_body_bytes: int = Field(
        default=4 * 2**20, ge=1024, description="Maximum size of a request body in bytes; beyond it, 413."
    )
    max_body_values: int = Field(
        default=2**17,
        ge=1024,
        description="Maximum number of keys, strings, objects and lists in a request body; beyond it, 400. Numbers,"
        " such as token ids, are limited by `max_body_bytes` alone.",
    )
    max_body_depth: int = Field(
        default=128,
        ge=16,
        le=512,
        description="Maximum number of levels of objects and lists in a request body; beyond it, 400.",
    )
    max_reading_bytes: int = Field(
        default=64 * 2**20,
        ge=1024,
        description="Maximum size of all request bodies being read, in bytes; beyond it, 429.",
    )
    body_timeout_s: float = Field(default=30.0, gt=0, description="Timeout for receiving a request body; then 408.")
    max_messages: int = Field(default=1024, ge=1, description="Maximum number of messages in a request.")
    max_tools: int = Field(default=128, ge=1, description="Maximum number of tools in a request.")
    max_tokens: int = Field(default=131_072, ge=1, description="Maximum value of a request's `max_tokens`.")
    max_choices: int = Field(default=16, ge=1, description="Maximum value of a request's `n`.")
    max_prompts: int = Field(
        default=128,
        ge=1,
        description="Maximum number of prompts in a request to /v1/completions. All are computed at the same time, and"
        " each counts as a request in progress.",
    )
    deadline_s: float = Field(
        default=600.0,
        gt=0,
        description="Deadline of a request; then 504, or what a recipe has by then.",
    )
    first_item_wait_s: float = Field(
        default=2.0,
        ge=0,
        description="Time that the response of a stream waits for its first item, so that an early error has its own"
        " HTTP status.",
    )
    keep_alive_s: float = Field(
        default=5.0,
        gt=0,
        description="Time without data after which a stream sends a comment to keep the connection open.",
    )
    health_timeout_s: float = Field(default=10.0, gt=0, description="Timeout of /ready for each engine.")
    public_status: bool = Field(
        default=False,
        description="Tell callers without a key the ids of models and their failures at /ready, the versions at"
        " /version, and both in /openapi.json. False: where an `api_key` is set, they learn from /ready whether the"
        " server is ready, and no more.",
    )
    health_cache_s: float = Field(default=1.0, ge=0, description="Time for which /ready reuses its last result.")
    echo_request_id: bool = Field(
        default=True,
        description="Send `x-request-id` in responses. False if a server in front sends it, as Ray Serve's proxies do.",
    )
    log_requests: bool = Field(
        default=False,
        description="Log one line of JSON per request to the logger `serving.requests`: ids, the key's name, model,"
        " outcome, degraded, tokens of all agents, seconds, and the caller's `user` and `metadata`; never texts, never"
        " keys.",
    )
    log_format: LogFormat = Field(
        default="text",
        description="Format of the server's own logs, also on the model replicas: `text`, or `json`, one object a line"
        " with `trace_id`, `span_id` and `request_id`.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description="Origins, such as `https://chat.example.org`, whose web pages may read the API's answers in a"
        " browser; `*`: all. A page needs a key like any other client, and shows it to everyone who uses the page.",
    )
    unsupported_tools: Literal["refuse", "omit"] = Field(
        default="refuse",
        description="Tools of /v1/responses and /v1/messages that this server does not have, such as `web_search`:"
        " `refuse` the request, or `omit` them and name them in the `reasons` of the answer's `moa` object and in the"
        " log.",
    )
    max_inputs: int = Field(
        default=2048,
        ge=1,
        description="Maximum number of inputs in a request for embeddings, and of documents in one for a ranking.",
    )
    max_input_chars: int = Field(
        default=2**19,
        ge=1,
        description="Maximum length of one of these inputs, documents or queries, in characters or in token ids.",
    )
    images: ImageSettings = Field(
        default=ImageSettings(), description="Limits of images in requests, and the hosts from which they are fetched."
    )
    schemas: SchemaLimits = Field(
        default=SchemaLimits(), description="Limits of JSON schemas and other rules that answers are held to."
    )
    versions: Mapping[str, str] = Field(default_factory=dict, description="Additional entries of /version.")
    usage: UsageScope = Field(
        default="answer",
        description="Tokens in the `usage` of a recipe's answer: `answer`, those of the call that wrote it; or `team`,"
        " those of all its calls, which `moa.usage` has in any case.",
    )
    metrics: bool | None = Field(
        default=None,
        description="Answer `/metrics` on the API's port, without a key, for tools that look there. Null: only if the"
        " server is started on this machine, listens on its loopback interface and requires no key.",
    )
    cache: CacheSettings = Field(default=CacheSettings(), description="The response cache, which needs the store.")
    aliases: Mapping[ModelName, str] = Field(
        default_factory=dict,
        description="Further ids of models and recipes, such as `{gpt-4o: moa-lite}`, for programs that name a model in"
        " their code.",
    )

    @field_validator("tenant_secret")
    @classmethod
    def _the_secret_is_long(cls, given: SecretStr | None) -> object:
        if given is not None and len(given.get_secret_value()) < MIN_SECRET_CHARACTERS:
            raise ValueError(f"a secret needs at least {MIN_SECRET_CHARACTERS} characters")
        return given

    @field_validator("api_key")
    @classmethod
    def _keys_are_not_empty(cls, given: SecretStr | tuple[SecretStr, ...] | None) -> object:
        _keys(given)
        return given

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_origins(cls, given: tuple[str, ...]) -> object:
        for origin in given:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"write the origin '{origin}' as a browser sends it: https://HOST[:PORT], without a path"
                )
        return given

    @model_validator(mode="after")
    def _the_largest_body_can_be_read(self) -> Self:
        if self.max_reading_bytes < self.max_body_bytes:
            raise ValueError(f"max_reading_bytes must be at least max_body_bytes, {self.max_body_bytes}")
        return self

    @property
    def requires_key(self) -> bool:
        """True if a request needs a key."""
        return self.require_key or bool(self.keys or self.admin_key or self.plain_keys())

    def plain_keys(self) -> tuple[bytes, ...]:
        """Accepted keys without names; empty if there are none.

        Raises:
            ValueError: the list of keys is empty, or a key is empty, has several lines or other characters than
                printable ASCII (`model_copy` does not validate).
        """
        return _keys(self.api_key)


def _keys(given: SecretStr | tuple[SecretStr, ...] | None) -> tuple[bytes, ...]:
    if given is None:
        return ()
    secrets = given if isinstance(given, tuple) else (given,)
    keys = tuple(secret.get_secret_value() for secret in secrets)
    if not keys or not all(key.strip() for key in keys):
        raise ValueError("an empty key would let everyone in; set a key, or null to require none")
    try:
        return tuple(check_key(key).encode() for key in keys)
    except InvalidKey as why:
        raise ValueError(f"an API key {why}") from None

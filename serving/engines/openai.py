"""An OpenAI-compatible endpoint as an engine: a hosted model, or a vLLM server that runs elsewhere."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

import httpx

from serving import sse
from serving.conversation import Modality
from serving.engine import CONTINUING, Engine, EngineInfo
from serving.engines.base_url import base_url_problem
from serving.engines.openai_body import InvalidBody, error_body, events, raw_bytes
from serving.engines.openai_completions import CompletionsReader, completions_payload
from serving.engines.openai_errors import error_of_response
from serving.engines.openai_stream import StreamReader
from serving.engines.openai_wire import check_fields, to_payload
from serving.errors import (
    ConfigError,
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    MoaError,
    Overloaded,
    UnsupportedField,
)
from serving.failures import engine_failure, said
from serving.redaction import InvalidKey, check_key
from serving.runtime.truncation import PromptFitter
from serving.types import Delta, GenerateRequest

KEEP_ALIVE_S = 2.0  # shorter than the 5 s of common servers: a request on a connection being closed would fail
DRAIN_S = 1.0  # wait for the end of a finished response, so that its connection can be reused
DRAIN_HERE_S = 0.01  # the part of it in which the caller waits: most responses have ended by then
MAX_DRAINED_BYTES = 64 * 1024  # of a finished response
LARGE_EVENT_BYTES = 64 * 1024  # of an event that is read in a thread

logger = logging.getLogger(__name__)


@dataclass
class OpenAIEngine(Engine):
    """The model at `base_url` (".../v1"), where it is called `upstream_model` if that differs from `model`.

    The API key is read once, from the environment variable `api_key_env`, and never appears in a log, an error or a
    `repr`. The caller's `user`, `metadata`, `priority` and tenant are not sent. Only a prompt that is too long is sent
    again, with shorter references; all other retries are the recipe's decision.

    Raises:
        ConfigError: the variable is empty or holds no key, or `base_url` is no URL or contains a password.
    """

    model: str
    base_url: str
    upstream_model: str | None = None
    api_key_env: str | None = None
    max_tokens_field: str = "max_tokens"  # newer OpenAI models require "max_completion_tokens"
    connect_timeout_s: float = 5.0
    silence_timeout_s: float = 120.0  # maximum wait for the next byte of an answer
    usage_wait_s: float = 0.5  # maximum wait for the usage and the end of the stream after the last choice has ended
    max_event_bytes: int = 2**20
    max_answer_bytes: int = 64 * 2**20  # of all events of an answer
    max_connections: int = 256
    context_tokens: int | None = None
    unsupported: frozenset[str] = frozenset()  # abilities that the endpoint lacks
    tools: bool = True  # the endpoint accepts tools
    thinking: bool = True  # it accepts `reasoning_effort`, which is not sent otherwise
    raw_prompts: bool = False  # it has /completions
    modalities: tuple[Modality, ...] = ("text",)  # images are sent along if it reads them
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    _client: httpx.AsyncClient = field(init=False, repr=False)
    _draining: set[asyncio.Task[None]] = field(init=False, repr=False, default_factory=set)

    def __post_init__(self) -> None:
        if (problem := base_url_problem(self.base_url)) is not None:
            raise ConfigError(f"Change the base_url of '{self.model}': {problem}.")
        headers = {"accept": "text/event-stream, application/json", "accept-encoding": "identity"}
        if self.api_key_env is not None:
            headers["authorization"] = f"Bearer {self._key(self.api_key_env)}"
        self._client = httpx.AsyncClient(
            base_url=self.base_url.rstrip("/") + "/",
            headers=headers,
            timeout=httpx.Timeout(self.silence_timeout_s, connect=self.connect_timeout_s, pool=self.connect_timeout_s),
            limits=httpx.Limits(max_connections=self.max_connections, keepalive_expiry=KEEP_ALIVE_S),
            transport=self.transport,
        )

    def _key(self, variable: str) -> str:
        key = os.environ.get(variable, "")
        if not key.strip():
            raise ConfigError(f"Set the environment variable {variable} to the API key of '{self.model}'.")
        try:
            return check_key(key)
        except InvalidKey as why:
            raise ConfigError(
                f"Change the environment variable {variable}: the API key of '{self.model}' {why}."
            ) from None

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            self.context_tokens,
            None,
            self.unsupported | {CONTINUING},
            self.tools,
            self.thinking,
            self.raw_prompts,
            self.modalities,
            "openai",
            f"{self.base_url} {self.upstream_model or self.model} {self.max_tokens_field}",
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        await self._client.aclose()

    async def check_health(self) -> None:
        """Check that the endpoint answers and accepts the key; the model itself is not checked."""
        try:
            async with self._client.stream("GET", "models") as response:
                pass  # the body may be of any length
        except httpx.HTTPError as error:
            logger.warning("the endpoint of '%s': %s: %s", self.model, type(error).__name__, said(error))
            raise EngineUnavailable(self.model, f"its endpoint cannot be reached ({type(error).__name__})") from None
        if response.status_code in (401, 403) or response.status_code >= 500:
            raise EngineUnavailable(self.model, f"its endpoint answered with status {response.status_code}")

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the endpoint's answer.

        Raises:
            InvalidRequest: the endpoint refused the request.
            ContextTooLong: it refused the prompt as too long and gave the numbers.
            UnsupportedField: the request has tools or `n` above 1, which the endpoint does not support, or a field that
                OpenAI's API does not have.
            Overloaded: it answered 429, or all connections are in use.
            EngineUnavailable: it could not be reached, or answered 503.
            DeadlineExceeded: `deadline_s` passed, or no byte arrived within `silence_timeout_s`.
            EngineFailed: any other failure of the endpoint or of the connection.
        """
        if request.sampling.n != 1 and "n" in self.unsupported:
            raise UnsupportedField("n", f"the endpoint of '{self.model}' returns one choice")
        if request.tools and not self.tools:
            raise UnsupportedField("tools", f"the endpoint of '{self.model}' does not support tools")
        check_fields(request, self.model)
        loop = asyncio.get_running_loop()
        kind = StreamReader if request.prompt is None else CompletionsReader
        reader = kind(self.model, loop.time(), request.sampling.n)
        deadline = None if request.deadline_s is None else loop.time() + request.deadline_s
        fitter = PromptFitter(request, self.context_tokens)
        try:
            response = await self._open(fitter, deadline)
            raw = raw_bytes(response)
            try:
                async with aclosing(events(response, raw, self.max_event_bytes, self.max_answer_bytes)) as stream:
                    while (event := await self._next(stream, reader, deadline)) is not None:
                        for delta in await self._deltas(event, reader):
                            yield delta
                for delta in reader.ending(loop.time()):
                    if delta.usage is not None:
                        # The endpoint's cache is common to all tenants: the count would tell what others asked.
                        usage = replace(delta.usage, cached_tokens=None) if request.tenant.isolated else delta.usage
                        delta = replace(delta, usage=usage, shortened=fitter.shortened)
                    yield delta
            finally:
                await self._release(response, raw, reusable=reader.complete)
        except MoaError:
            raise
        except TimeoutError:
            raise DeadlineExceeded(f"'{self.model}'", request.deadline_s or 0.0) from None
        except Exception as error:
            raise self._failure(error) from None

    async def _next(
        self, stream: AsyncGenerator[sse.Event, None], reader: StreamReader, deadline: float | None
    ) -> sse.Event | None:
        """Next event; None if there is none, or none is needed.

        The deadline limits each read, not the loop around it: between reads the caller's code runs. Once all choices
        have ended, the answer is there: only the usage is waited for, and a broken end is as good as another.
        """
        if reader.complete:
            return None
        if not reader.ended:
            async with asyncio.timeout_at(deadline):
                return await anext(stream, None)
        until = asyncio.get_running_loop().time() + self.usage_wait_s
        with suppress(TimeoutError, httpx.HTTPError, InvalidBody):
            async with asyncio.timeout_at(until if deadline is None else min(until, deadline)):
                return await anext(stream, None)
        return None

    async def _deltas(self, event: sse.Event, reader: StreamReader) -> list[Delta]:
        """Deltas of one event. A large one is read in a thread: it may have 100,000 values."""
        now_s = asyncio.get_running_loop().time()
        if len(event.data) < LARGE_EVENT_BYTES:
            return reader.read(event, now_s)
        return await asyncio.to_thread(reader.read, event, now_s)

    async def _release(self, response: httpx.Response, raw: AsyncIterator[bytes], *, reusable: bool) -> None:
        """Close `response`. If its body is about to end, its connection can be used again: that is not waited for."""
        if not reusable:
            await response.aclose()
            return
        task = asyncio.create_task(_drained(response, raw))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
        await asyncio.wait([task], timeout=DRAIN_HERE_S)

    def _failure(self, error: Exception) -> MoaError:
        """Error for an exception of httpx, of a body or of anything else. Its text is for the log."""
        if isinstance(error, InvalidBody):
            return EngineFailed(self.model, said(error))
        if isinstance(error, httpx.PoolTimeout):
            return Overloaded(f"All {self.max_connections} connections to '{self.model}' are in use.")
        if not isinstance(error, httpx.HTTPError):
            return engine_failure(self.model, error)
        kind = type(error).__name__
        logger.warning("the endpoint of '%s': %s: %s", self.model, kind, said(error))
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return EngineUnavailable(self.model, f"its endpoint cannot be reached ({kind})")
        if isinstance(error, httpx.TimeoutException):
            return DeadlineExceeded(f"The next byte of '{self.model}'", self.silence_timeout_s)
        return EngineFailed(self.model, f"the connection to its endpoint failed ({kind})")

    async def _open(self, fitter: PromptFitter, deadline: float | None) -> httpx.Response:
        """Send the request, with ever shorter references if the prompt is too long; the caller closes the response."""
        while True:
            request, model = fitter.request, self.upstream_model or self.model
            if request.prompt is None:
                read = replace(request, messages=fitter.messages)
                path, payload = "chat/completions", to_payload(read, model, self.max_tokens_field, self.thinking)
            else:
                path, payload = "completions", completions_payload(request, request.prompt, model)
            trace = None if request.trace is None else request.trace.headers
            post = self._client.build_request("POST", path, json=payload, headers=trace)
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(post, stream=True)
            if response.status_code == 200:
                return response
            try:
                body = await error_body(response, deadline)
            finally:
                await response.aclose()
            error = error_of_response(self.model, response.status_code, response.headers, body, fitter.request)
            if not isinstance(error, ContextTooLong):
                raise error
            fitter.shorten(error)


async def _drained(response: httpx.Response, raw: AsyncIterator[bytes]) -> None:
    """Read what is left of a finished response, then close it; all errors of the endpoint are too late to matter."""
    read_bytes = 0
    try:
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(DRAIN_S):
                async for piece in raw:
                    read_bytes += len(piece)
                    if read_bytes > MAX_DRAINED_BYTES:
                        break
    finally:
        await response.aclose()

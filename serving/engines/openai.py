"""An OpenAI-compatible endpoint as an engine: a hosted model, or a vLLM server that runs elsewhere."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

import httpx

from serving import sse
from serving.conversation import Modality
from serving.engine import Engine, EngineInfo
from serving.engines.openai_completions import CompletionsReader, completions_payload
from serving.engines.openai_errors import error_of_response
from serving.engines.openai_wire import StreamReader, check_fields, to_payload
from serving.errors import (
    ConfigError,
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    Overloaded,
    UnsupportedField,
)
from serving.runtime.truncation import PromptFitter
from serving.types import Delta, GenerateRequest

MAX_ERROR_BYTES = 64 * 1024  # that are read of the body of an error response
KEEP_ALIVE_S = 2.0  # shorter than the 5 s of common servers: a request on a connection being closed would fail
DRAIN_S = 1.0  # wait for the end of a finished response, so that its connection can be reused


@dataclass
class OpenAIEngine(Engine):
    """The model at `base_url` (".../v1"), where it is called `upstream_model` if that differs from `model`.

    The API key is read once, from the environment variable `api_key_env`, and never appears in a log, an error or a
    `repr`. The caller's `user`, `metadata`, `priority` and tenant are not sent. Only a prompt that is too long is sent
    again, with shorter references; all other retries are the recipe's decision.

    Raises:
        ConfigError: the variable is empty, or `base_url` contains a password.
    """

    model: str
    base_url: str
    upstream_model: str | None = None
    api_key_env: str | None = None
    max_tokens_field: str = "max_tokens"  # newer OpenAI models require "max_completion_tokens"
    connect_timeout_s: float = 5.0
    silence_timeout_s: float = 120.0  # maximum wait for the next byte of an answer
    max_connections: int = 256
    context_tokens: int | None = None
    unsupported: frozenset[str] = frozenset()  # abilities that the endpoint lacks
    tools: bool = True  # the endpoint accepts tools
    thinking: bool = True  # it accepts `reasoning_effort`, which is not sent otherwise
    raw_prompts: bool = False  # it has /completions
    modalities: tuple[Modality, ...] = ("text",)  # images are sent along if it reads them
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    _client: httpx.AsyncClient = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if httpx.URL(self.base_url).userinfo:
            raise ConfigError(f"Remove the password from the base_url of '{self.model}'; set api_key_env instead.")
        headers = {}
        if self.api_key_env is not None:
            key = os.environ.get(self.api_key_env, "").strip()
            if not key:
                raise ConfigError(f"Set the environment variable {self.api_key_env} to the API key of '{self.model}'.")
            headers["authorization"] = f"Bearer {key}"
        self._client = httpx.AsyncClient(
            base_url=self.base_url.rstrip("/") + "/",
            headers=headers,
            timeout=httpx.Timeout(self.silence_timeout_s, connect=self.connect_timeout_s, pool=self.connect_timeout_s),
            limits=httpx.Limits(max_connections=self.max_connections, keepalive_expiry=KEEP_ALIVE_S),
            transport=self.transport,
        )

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            self.context_tokens,
            None,
            self.unsupported,
            self.tools,
            self.thinking,
            self.raw_prompts,
            self.modalities,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def check_health(self) -> None:
        """Check that the endpoint answers and accepts the key; the model itself is not checked."""
        try:
            response = await self._client.get("models")
        except httpx.HTTPError as error:
            raise EngineUnavailable(self.model, _described(error)) from None
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
        reader = (StreamReader if request.prompt is None else CompletionsReader)(self.model, loop.time())
        deadline = None if request.deadline_s is None else loop.time() + request.deadline_s
        fitter = PromptFitter(request, self.context_tokens)
        try:
            response = await self._open(fitter, deadline)
            try:
                async with aclosing(sse.events(response.aiter_bytes())) as events:
                    # The deadline limits each read, not the loop: between reads the caller's code runs.
                    while not reader.complete and (data := await _next(events, deadline)) is not None:
                        for delta in reader.read(data):
                            yield delta
                    with suppress(TimeoutError, httpx.HTTPError):
                        await _next(events, loop.time() + DRAIN_S)
            finally:
                await response.aclose()
        except TimeoutError:
            raise DeadlineExceeded(f"'{self.model}'", request.deadline_s or 0.0) from None
        except httpx.PoolTimeout:
            raise Overloaded(f"All {self.max_connections} connections to '{self.model}' are in use.") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise EngineUnavailable(self.model, _described(error)) from None
        except httpx.TimeoutException:
            raise DeadlineExceeded(f"The next byte of '{self.model}'", self.silence_timeout_s) from None
        except (httpx.HTTPError, ValueError) as error:
            raise EngineFailed(self.model, _described(error)) from None
        for delta in reader.ending(loop.time()):
            if delta.usage is not None:
                # The endpoint's cache is common to all tenants: the count would tell what others asked.
                usage = replace(delta.usage, cached_tokens=None) if request.tenant.isolated else delta.usage
                delta = replace(delta, usage=usage, shortened=fitter.shortened)
            yield delta

    async def _open(self, fitter: PromptFitter, deadline: float | None) -> httpx.Response:
        """Send the request, with ever shorter references if the prompt is too long; the caller closes the response."""
        while True:
            request, model = fitter.request, self.upstream_model or self.model
            if request.prompt is None:
                read = replace(request, messages=fitter.messages)
                path, payload = "chat/completions", to_payload(read, model, self.max_tokens_field, self.thinking)
            else:
                path, payload = "completions", completions_payload(request, request.prompt, model)
            post = self._client.build_request("POST", path, json=payload)
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(post, stream=True)
            if response.status_code == 200:
                return response
            try:
                body = await _error_body(response)
            finally:
                await response.aclose()
            error = error_of_response(self.model, response.status_code, response.headers, body, fitter.request)
            if not isinstance(error, ContextTooLong):
                raise error
            fitter.shorten(error)


async def _next(events: AsyncGenerator[bytes, None], deadline: float | None) -> bytes | None:
    async with asyncio.timeout_at(deadline):
        return await anext(events, None)


async def _error_body(response: httpx.Response) -> bytes:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= MAX_ERROR_BYTES:
            break
    return body[:MAX_ERROR_BYTES]


def _described(error: Exception) -> str:
    """Class and message of an error. httpx's messages do not contain headers, hence not the key."""
    return f"{type(error).__name__}: {str(error)[:200]}".rstrip(": .")

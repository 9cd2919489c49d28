"""Client of an OpenAI-compatible server; retries what a retry can help."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import openai

from evaluation.errors import EvaluationError
from evaluation.rows import AgentRow, valid_text
from evaluation.tools.toolbox import Call
from serving.failures import said
from serving.suggestions import did_you_mean

REFUSAL_CHARS = 500  # of a server's error message
CONNECT_TIMEOUT_S = 10.0
NO_KEY = "none"  # the openai client insists on a key; a server without keys ignores it


class AskFailed(Exception):
    """The server gave no answer; `str(error)` names the reason in one sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One chat completion. Counts are `None` where the server did not report them."""

    text: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    latency_s: float  # of the successful attempt alone
    trace: tuple[AgentRow, ...] = ()
    degraded: bool = False
    reasons: tuple[str, ...] = ()
    first_logprobs: Mapping[str, float] = field(default_factory=dict)  # alternatives of the first token
    reasoning: str = ""
    reasoning_tokens: int | None = None  # of completion_tokens
    tool_calls: tuple[Call, ...] = ()

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message of the history, with its reasoning: some models read it while they call tools."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        return message


def key_in(variable: str) -> str | None:
    """The API key in an environment variable. Raises `EvaluationError` if no header can have it."""
    key = os.environ.get(variable)
    if key and not (key.isascii() and key.isprintable()):
        raise EvaluationError(f"The API key in {variable} has characters that no header can have.")
    return key


class Client:
    """Client of one server, to be used as an async context manager.

    The `openai` package retries: after a lost connection, a timeout, or a status of 408, 409, 429 or 5xx, with
    exponential backoff (0.5 s to 8 s, with jitter) or after the time that `Retry-After` asks for.

    Args:
        url: The server's root, with or without `/v1`.
        api_key: Sent as a bearer token, never logged.
        timeout_s: Limit for a whole answer.
        retries: Further attempts after the first.
        transport: Replaces the network in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 600.0,
        retries: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        # `Any`: openai 3 accepts objects of httpx, but its types name those of httpx2.
        timeout: Any = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        http: Any = httpx.AsyncClient(  # the openai package's default client would follow redirects
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            event_hooks={"request": [_note_start]},
            transport=transport,
        )
        self._openai = openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=api_key or NO_KEY, timeout=timeout, max_retries=retries, http_client=http
        )
        self._once = self._openai.with_options(max_retries=0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._openai.close()

    async def models(self) -> list[str]:
        """Fetch the ids of all models that the server offers.

        Raises:
            EvaluationError: The server cannot be reached or refuses.
        """
        try:
            response = await self._once.models.with_raw_response.list()
            return [str(card["id"]) for card in response.http_response.json()["data"]]
        except openai.APIStatusError as error:
            raise EvaluationError(f"{self.url}/v1/models answered {_refusal(error)}.") from error
        except openai.APIConnectionError as error:
            raise self._no_server(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{self.url}/v1/models answered without a list of models; name an OpenAI-compatible server with --url."
            ) from error

    async def require(self, models: Iterable[str]) -> list[str]:
        """Fetch the ids of all models that the server offers.

        Raises:
            EvaluationError: The server cannot be reached or refuses, or lacks one of `models`.
        """
        known = await self.models()
        if unknown := sorted(set(models) - set(known)):
            similar = did_you_mean(unknown[0], known)
            raise EvaluationError(
                f"The server has no model '{unknown[0]}'; {similar}its models are: {', '.join(known)}."
            )
        return known

    async def version(self) -> dict[str, str]:
        """Fetch the versions that the server reports at `/version`; empty if it reports none.

        Raises:
            EvaluationError: The server cannot be reached.
        """
        try:
            found = await self._once.get(f"{self.url}/version", cast_to=object)
        except openai.APIStatusError:
            return {}
        except openai.APIConnectionError as error:
            raise self._no_server(error) from error
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}

    async def ask(self, model: str, messages: Sequence[Mapping[str, Any]], **fields: Any) -> Answer:
        """Request one chat completion; `fields` are further fields of the request's body.

        Raises:
            AskFailed: The request was refused, every attempt failed, or the answer is not a chat completion.
        """
        http = await self.response(model, messages, fields)
        return _parsed(http, time.monotonic() - http.request.extensions["started"])

    async def response(self, model: str, messages: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]) -> Any:
        """Request one chat completion; the result is the HTTP response as it is.

        Raises:
            AskFailed: The request was refused, or every attempt failed.
        """
        history: Any = list(messages)
        try:
            response = await self._openai.chat.completions.with_raw_response.create(
                model=model, messages=history, extra_body=fields
            )
        except openai.APIStatusError as error:
            raise AskFailed(_refusal(error)) from error
        except openai.OpenAIError as error:
            raise AskFailed(f"no answer: {_reason(error)}") from error
        return response.http_response

    def _no_server(self, error: Exception) -> EvaluationError:
        return EvaluationError(f"No server at {self.url}: {_reason(error)}. Start one, or name another with --url.")


async def _note_start(request: httpx.Request) -> None:
    request.extensions["started"] = time.monotonic()


def _reason(error: Exception) -> str:
    """The reason of a failed connection. The transport's own text is in it only if it is about the given address."""
    cause = error.__cause__ or error
    if isinstance(cause, httpx.ConnectError):
        return f"it cannot be reached ({said(cause)})"
    if isinstance(cause, httpx.ConnectTimeout):
        return f"it cannot be reached within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(cause, httpx.TimeoutException):
        return "it sent nothing until the timeout"
    return f"the connection failed ({type(cause).__name__})"


def _refusal(error: openai.APIStatusError) -> str:
    try:
        message = error.response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = error.response.text[:200]
    return f"{error.status_code}: {message}"[:REFUSAL_CHARS]


def _parsed(response: Any, latency_s: float) -> Answer:
    try:
        body = response.json()
        choice = body["choices"][0]
        message = choice["message"]
        moa = body.get("moa") or {}
        usage = moa.get("usage") or body.get("usage") or {}  # of all agents: answers are compared by what they cost
        return Answer(
            text=_text(message["content"]),
            finish_reason=choice.get("finish_reason"),
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            latency_s=latency_s,
            trace=tuple(_agent(layer["layer"], entry) for layer in moa.get("trace") or () for entry in layer["agents"]),
            degraded=bool(moa.get("degraded", False)),
            reasons=tuple(moa.get("reasons") or ()),
            first_logprobs=_first_logprobs(choice),
            reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
            reasoning_tokens=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
            tool_calls=tuple(_call(call) for call in message.get("tool_calls") or ()),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise AskFailed(f"the answer is not a chat completion ({type(error).__name__})") from error


def _text(content: Any) -> str:
    """The text of a field; "" for null. Raises `TypeError` if it is no text."""
    if content is not None and not isinstance(content, str):
        raise TypeError(f"a text is {type(content).__name__}")
    return valid_text(content or "")


def _call(call: Mapping[str, Any]) -> Call:
    return Call(call["id"], call["function"]["name"], call["function"]["arguments"])


def _agent(layer: int, entry: Mapping[str, Any]) -> AgentRow:
    usage = entry.get("usage") or {}
    total_ms = entry.get("total_ms")
    return AgentRow(
        layer=layer,
        agent=entry["agent"],
        role=entry["role"],
        model=entry["model"],
        outcome=entry["outcome"],
        text=_text(entry.get("text")),
        called=bool(entry.get("tool_calls")),
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        total_s=None if total_ms is None else total_ms / 1000,
    )


def _first_logprobs(choice: Mapping[str, Any]) -> dict[str, float]:
    content = (choice.get("logprobs") or {}).get("content") or []
    if not content:
        return {}
    first = content[0]
    return {entry["token"]: float(entry["logprob"]) for entry in [*(first.get("top_logprobs") or []), first]}

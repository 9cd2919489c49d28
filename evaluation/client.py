"""Asks an OpenAI-compatible server, again where asking again can help."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from evaluation.errors import EvaluationError
from evaluation.rows import AgentRow

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
MAX_PAUSE_S = 10.0


class AskFailed(Exception):
    """The server gave no answer; `str(error)` says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    latency_s: float  # of the attempt that succeeded
    trace: tuple[AgentRow, ...] = ()
    degraded: bool = False
    reasons: tuple[str, ...] = ()
    first_logprobs: Mapping[str, float] = field(default_factory=dict)  # alternatives of the first token


class Client:
    """One server. Use as an async context manager.

    Args:
        url: the server's root, with or without `/v1`.
        api_key: sent as a bearer token, never logged.
        timeout_s: for a whole answer.
        retries: further attempts after a lost connection or a status of `RETRIED_STATUSES`.
        backoff_s: the first pause; it doubles up to `MAX_PAUSE_S`, with jitter; Retry-After is kept to.
        transport: another way to the server, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 600.0,
        retries: int = 8,
        backoff_s: float = 0.5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._retries, self._backoff_s = retries, backoff_s
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def models(self) -> list[str]:
        """Every model id that the server answers under.

        Raises:
            EvaluationError: the server cannot be reached or refuses.
        """
        try:
            response = await self._http.get("/v1/models")
            response.raise_for_status()
            return [str(card["id"]) for card in response.json()["data"]]
        except httpx.HTTPStatusError as error:
            raise EvaluationError(f"{self.url}/v1/models answered {_said(error.response)}.") from error
        except (httpx.HTTPError, ValueError, KeyError) as error:
            why = str(error) or type(error).__name__
            raise EvaluationError(f"There is no server at {self.url}: {why}; start one, or say --url.") from error

    async def version(self) -> dict[str, str]:
        """What the server says that it runs; empty where it does not say.

        Raises:
            EvaluationError: the server cannot be reached.
        """
        try:
            response = await self._http.get("/version")
            found = response.json() if response.is_success else {}
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise EvaluationError(f"There is no server at {self.url}: {why}; start one, or say --url.") from error
        except ValueError:
            found = {}
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}

    async def ask(self, model: str, messages: Sequence[Mapping[str, str]], **fields: Any) -> Answer:
        """One answer; `fields` are further fields of the request.

        Raises:
            AskFailed: the request was refused, or every attempt failed.
        """
        body = {"model": model, "messages": list(messages), **fields}
        for attempt in range(self._retries + 1):
            started = time.monotonic()
            pause_s = min(self._backoff_s * 2**attempt, MAX_PAUSE_S) * random.uniform(0.5, 1.5)
            try:
                response = await self._http.post("/v1/chat/completions", json=body)
            except httpx.HTTPError as error:
                failure = f"no answer: {str(error) or type(error).__name__}"
            else:
                if response.is_success:
                    return _parsed(response, time.monotonic() - started)
                failure = _said(response)
                if response.status_code not in RETRIED_STATUSES:
                    break
                pause_s = max(pause_s, _seconds(response.headers.get("retry-after")))
            if attempt < self._retries:
                await asyncio.sleep(pause_s)
        raise AskFailed(failure)


def _seconds(header: str | None) -> float:
    try:
        return float(header or 0.0)
    except ValueError:  # a date: the own pause will do
        return 0.0


def _said(response: httpx.Response) -> str:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    return f"{response.status_code}: {message}"


def _parsed(response: httpx.Response, latency_s: float) -> Answer:
    try:
        body = response.json()
        choice = body["choices"][0]
        usage = body.get("usage") or {}
        moa = body.get("moa") or {}
        return Answer(
            text=choice["message"]["content"] or "",
            finish_reason=choice.get("finish_reason"),
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            latency_s=latency_s,
            trace=tuple(_agent(layer["layer"], entry) for layer in moa.get("trace") or () for entry in layer["agents"]),
            degraded=bool(moa.get("degraded", False)),
            reasons=tuple(moa.get("reasons") or ()),
            first_logprobs=_first_logprobs(choice),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise AskFailed(f"the answer is not a chat completion ({type(error).__name__}: {error})") from error


def _agent(layer: int, entry: Mapping[str, Any]) -> AgentRow:
    usage = entry.get("usage") or {}
    total_ms = entry.get("total_ms")
    return AgentRow(
        layer=layer,
        agent=entry["agent"],
        role=entry["role"],
        model=entry["model"],
        outcome=entry["outcome"],
        text=entry.get("text") or "",
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

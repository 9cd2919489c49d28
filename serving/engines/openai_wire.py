"""OpenAI's chat format from the client's side: the body of a request and the chunks of its answer."""

import asyncio
import json
from typing import Any

from serving import sse
from serving.engines.openai_errors import error_of_stream
from serving.errors import EngineFailed, IncompleteGeneration
from serving.types import (
    UNKNOWN_USAGE,
    Delta,
    FinishReason,
    GenerateRequest,
    Sampling,
    Timing,
    TokenLogprob,
    TokenUsage,
)

FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "content_filter"}
# Sent unchanged if the request sets them. An endpoint that does not support vLLM's extensions refuses them by name.
SAMPLING_FIELDS = (
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "top_k",
    "min_p",
    "repetition_penalty",
    "ignore_eos",
    "min_tokens",
)
UNSET = Sampling()


def to_payload(request: GenerateRequest, model: str, max_tokens_field: str) -> dict[str, Any]:
    """Body of the HTTP request for `request`."""
    sampling = request.sampling
    payload: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": message.role, "content": message.content, **({"name": message.name} if message.name else {})}
            for message in request.messages
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    # Fields at their defaults are left out: an endpoint may support fewer fields than this server.
    for name in SAMPLING_FIELDS:
        if (value := getattr(sampling, name)) != getattr(UNSET, name):
            payload[name] = value
    max_tokens = request.token_cap if sampling.max_tokens is None else sampling.max_tokens
    if max_tokens is not None:
        payload[max_tokens_field] = max_tokens
    if sampling.stop:
        payload["stop"] = list(sampling.stop)
    if sampling.n != 1:
        payload["n"] = sampling.n
    if sampling.logprobs is not None:
        payload |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    if (wanted := sampling.response_format) is not None:
        payload["response_format"] = {"type": wanted.type}
        if wanted.type == "json_schema":
            payload["response_format"]["json_schema"] = {"name": wanted.name, "schema": wanted.schema}
    return payload


class StreamReader:
    """Converts chunks to deltas. Finish reasons are kept back until the end, when the usage is known.

    Attributes:
        complete: True after `[DONE]`.
    """

    def __init__(self, model: str, began_s: float) -> None:
        """Read an answer of `model`, asked for at loop time `began_s`."""
        self.model, self.began_s = model, began_s
        self.first_s: float | None = None
        self.reasons: dict[int, FinishReason | None] = {}
        self.usage = UNKNOWN_USAGE
        self.complete = False

    def read(self, data: bytes) -> list[Delta]:
        """Deltas of one event. Raises `EngineFailed`, or the `MoaError` for an error object in the stream."""
        if data.strip() == sse.DONE_DATA:
            self.complete = True
        if self.complete:
            return []
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            raise EngineFailed(self.model, "its endpoint sent a chunk that is not an object")
        if chunk.get("error"):
            raise error_of_stream(self.model, chunk["error"])
        if isinstance(chunk.get("usage"), dict):
            self.usage = _usage(chunk["usage"])
        try:
            return [delta for choice in chunk.get("choices") or [] if (delta := self._choice(choice)) is not None]
        except (AttributeError, KeyError, TypeError) as error:
            raise EngineFailed(self.model, f"its endpoint sent an invalid chunk ({error!r:.100})") from None

    def _choice(self, choice: dict[str, Any]) -> Delta | None:
        index = choice.get("index", 0)
        self.reasons.setdefault(index, None)
        if (reason := choice.get("finish_reason")) is not None:
            if reason not in FINISH_REASONS:
                raise EngineFailed(self.model, f"its endpoint sent the unknown finish reason '{reason!s:.40}'")
            self.reasons[index] = FINISH_REASONS[reason]
        delta = choice.get("delta") or {}
        text = delta.get("content") or delta.get("refusal") or ""
        if not isinstance(text, str):
            raise TypeError("content is not a string")
        logprobs = (choice.get("logprobs") or {}).get("content")
        if not text and not logprobs:
            return None
        if self.first_s is None:
            self.first_s = asyncio.get_running_loop().time()
        return Delta(text, index, tuple(map(_logprob, logprobs)) if logprobs else None)

    def ending(self, now_s: float) -> list[Delta]:
        """Final delta of each choice; the last one has the usage. Raises `IncompleteGeneration`."""
        if not self.complete or not self.reasons or None in self.reasons.values():
            raise IncompleteGeneration(self.model)
        ttft_s = None if self.first_s is None else self.first_s - self.began_s
        timing = Timing(None, ttft_s, now_s - self.began_s)
        *others, last = sorted(self.reasons)
        return [
            *(Delta(index=index, finish_reason=self.reasons[index]) for index in others),
            Delta(index=last, finish_reason=self.reasons[last], usage=self.usage, timing=timing),
        ]


def _usage(raw: dict[str, Any]) -> TokenUsage:
    details = raw.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return TokenUsage(
        *(n if isinstance(n, int) else None for n in (raw.get("prompt_tokens"), raw.get("completion_tokens"), cached))
    )


def _logprob(raw: dict[str, Any]) -> TokenLogprob:
    top = tuple(_logprob(other) for other in raw.get("top_logprobs") or ())
    return TokenLogprob(raw["token"], raw["logprob"], bytes(raw.get("bytes") or ()), top)

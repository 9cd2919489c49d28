"""Answers as OpenAI's JSON, whole or in chunks: text, usage, log probabilities and the `moa` object."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from serving import sse
from serving.errors import EngineFailed
from serving.types import AgentTrace, Completion, Delta, Report, TokenLogprob, TokenUsage

Json = dict[str, Any]
MIN_LOGPROB = -9999.0  # OpenAI's value for "practically impossible"; JSON has no infinity


@dataclass(frozen=True, slots=True)
class AnswerInfo:
    """Fields that a whole answer, or each of its chunks, begins with."""

    id: str
    created: int  # Unix time in seconds
    model: str


def completion_json(info: AnswerInfo, completion: Completion, trace: bool) -> Json:
    """Body of an answer that is not streamed."""
    answer: Json = {
        "id": info.id,
        "object": "chat.completion",
        "created": info.created,
        "model": info.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": encodable(choice.text), "refusal": None},
                "logprobs": None if choice.logprobs is None else logprobs_json(choice.logprobs),
                "finish_reason": choice.finish_reason,
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": usage_json(completion.usage),
    }
    if (moa := moa_json(completion.report, trace)) is not None:
        answer["moa"] = moa
    return answer


def usage_json(usage: TokenUsage) -> Json:
    """OpenAI's usage object; an unknown count is null."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def logprobs_json(tokens: Iterable[TokenLogprob]) -> Json:
    """OpenAI's logprobs object."""
    content = [{**_logprob(token), "top_logprobs": [_logprob(other) for other in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def _logprob(token: TokenLogprob) -> Json:
    logprob = MIN_LOGPROB if math.isnan(token.logprob) else max(token.logprob, MIN_LOGPROB)
    return {"token": encodable(token.token), "logprob": logprob, "bytes": list(token.token_bytes) or None}


def encodable(text: str) -> str:
    """`text` with question marks for lone surrogates, which UTF-8 cannot encode: an engine may split a pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def moa_json(report: Report | None, trace: bool) -> Json | None:
    """The `moa` object; None unless the caller asked for a trace or the report has reasons."""
    if report is None or not (trace or report.reasons):
        return None
    moa: Json = {
        "recipe": report.recipe,
        "degraded": report.degraded,
        "reasons": [encodable(reason) for reason in report.reasons],
    }
    if trace:
        agents = sorted(report.agents, key=lambda agent: (agent.layer, agent.agent))
        moa["trace"] = [
            {"layer": layer, "agents": [_agent(agent) for agent in members]}
            for layer, members in groupby(agents, key=lambda agent: agent.layer)
        ]
    return moa


def _agent(agent: AgentTrace) -> Json:
    return {
        "agent": agent.agent,
        "role": agent.role,
        "model": agent.model,
        "outcome": agent.status,
        "text": encodable(agent.text),
        "usage": usage_json(agent.usage),
        "started_ms": _ms(agent.started_s),
        "elapsed_ms": _ms(agent.elapsed_s),
        "queue_ms": _ms(agent.timing.queue_s),
        "ttft_ms": _ms(agent.timing.ttft_s),
        "total_ms": _ms(agent.timing.total_s),
        "error": None if agent.error is None else encodable(agent.error),
        "hedged": agent.hedged,
        "shortened": agent.shortened,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


class ChunkEncoder:
    """Encodes the stream of one answer as server-sent events.

    Attributes:
        unfinished: choices without a finish reason so far.
    """

    def __init__(self, info: AnswerInfo, choices: int, include_usage: bool, trace: bool) -> None:
        """Prepare the constant parts of all chunks.

        Args:
            info: the answer's id, time and model.
            choices: number of choices (`n`).
            include_usage: end with a chunk that has `usage` and no choices; the others then have `usage: null`.
            trace: put the trace into the `moa` object of the last chunk.
        """
        self.include_usage, self.trace, self.choices, self._model = include_usage, trace, choices, info.model
        start = {"id": info.id, "object": "chat.completion.chunk", "created": info.created, "model": info.model}
        self._start = sse.START + orjson.dumps(start).removesuffix(b"}") + b',"choices":['
        self._end = b'],"usage":null' if include_usage else b"]"
        self._close = b'},"logprobs":null,"finish_reason":null}' + self._end + b"}" + sse.END
        self.unfinished = set(range(choices))
        self._open = [self._start + b'{"index":%d,"delta":{"content":' % index for index in range(choices)]

    def roles(self) -> bytes:
        """Chunks that open the stream: one per choice, with its role."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(
            self._chunk({"index": index, "delta": delta, "logprobs": None, "finish_reason": None})
            for index in range(self.choices)
        )

    def encode(self, delta: Delta) -> bytes:
        """Events for one delta; empty if it has neither text nor an end.

        Raises:
            EngineFailed: the delta belongs to a choice that was not asked for.
        """
        if not 0 <= delta.index < self.choices:
            raise EngineFailed(
                self._model, f"it returned a choice with index {delta.index}, but was asked for {self.choices} choices"
            )
        if delta.logprobs is None and delta.text:
            data = self._open[delta.index] + quoted(delta.text) + self._close
        elif delta.logprobs is not None:
            data = self._chunk(
                {
                    "index": delta.index,
                    "delta": {"content": encodable(delta.text)},
                    "logprobs": logprobs_json(delta.logprobs),
                    "finish_reason": None,
                }
            )
        else:
            data = b""
        if delta.finish_reason is None and delta.usage is None:
            return data
        return data + self._ending(delta)

    def _ending(self, delta: Delta) -> bytes:
        """Chunk with a choice's finish reason, then the usage chunk if asked for. The last chunk has `moa`."""
        data = b""
        moa = moa_json(delta.report, self.trace) if delta.usage is not None else None
        if delta.finish_reason is not None:
            self.unfinished.discard(delta.index)
            choice = {"index": delta.index, "delta": {}, "logprobs": None, "finish_reason": delta.finish_reason}
            data = self._chunk(choice, None if self.include_usage else moa)
        if delta.usage is not None and self.include_usage:
            usage = b'],"usage":' + orjson.dumps(usage_json(delta.usage))
            data += self._start + usage + _moa(moa) + b"}" + sse.END
        elif moa is not None and delta.finish_reason is None:
            data += self._start + b"]" + _moa(moa) + b"}" + sse.END
        return data

    def _chunk(self, choice: Json, moa: Json | None = None) -> bytes:
        return self._start + orjson.dumps(choice) + self._end + _moa(moa) + b"}" + sse.END


def _moa(moa: Json | None) -> bytes:
    return b"" if moa is None else b',"moa":' + orjson.dumps(moa)


def quoted(text: str) -> bytes:
    """`text` as a JSON string; see `encodable` for lone surrogates."""
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return orjson.dumps(encodable(text))

"""The domain's values as OpenAI's JSON: whole answers, usage, log probabilities and the `moa` object."""

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
LEAST_LOGPROB = -9999.0  # OpenAI's word for "as good as impossible"; JSON has no infinity


@dataclass(frozen=True, slots=True)
class Head:
    """What every chunk of an answer, and the answer, begins with."""

    id: str
    created: int  # Unix time in seconds
    model: str


def completion_json(head: Head, completion: Completion, trace: bool) -> Json:
    """The body of an answer that is not streamed."""
    answer: Json = {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": valid(choice.text), "refusal": None},
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
    """A count that was lost stays null."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def logprobs_json(tokens: Iterable[TokenLogprob]) -> Json:
    content = [{**_logprob(token), "top_logprobs": [_logprob(other) for other in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def _logprob(token: TokenLogprob) -> Json:
    logprob = LEAST_LOGPROB if math.isnan(token.logprob) else max(token.logprob, LEAST_LOGPROB)
    return {"token": valid(token.token), "logprob": logprob, "bytes": list(token.token_bytes) or None}


def valid(text: str) -> str:
    """`text` without lone surrogates, which UTF-8 cannot carry: an engine may cut a token in the middle of a pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def moa_json(report: Report | None, trace: bool) -> Json | None:
    """The `moa` object: present where the caller asked for a trace, and always when there are reasons to tell."""
    if report is None or not (trace or report.reasons):
        return None
    moa: Json = {
        "recipe": report.recipe,
        "degraded": report.degraded,
        "reasons": [valid(reason) for reason in report.reasons],
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
        "text": valid(agent.text),
        "usage": usage_json(agent.usage),
        "started_ms": _ms(agent.started_s),
        "elapsed_ms": _ms(agent.elapsed_s),
        "queue_ms": _ms(agent.timing.queue_s),
        "ttft_ms": _ms(agent.timing.ttft_s),
        "total_ms": _ms(agent.timing.total_s),
        "error": None if agent.error is None else valid(agent.error),
        "hedged": agent.hedged,
        "shortened": agent.shortened,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


class ChunkEncoder:
    """Encodes one answer's stream.

    Args:
        head: the answer's id, time and model.
        choices: how many choices will come (`n`).
        include_usage: end with a chunk that has `usage` and no choices; the others then have `usage: null`.
        trace: put the trace into the `moa` object of the last chunk.
    """

    def __init__(self, head: Head, choices: int, include_usage: bool, trace: bool) -> None:
        self.include_usage, self.trace, self.choices, self._model = include_usage, trace, choices, head.model
        start = {"id": head.id, "object": "chat.completion.chunk", "created": head.created, "model": head.model}
        self._start = sse.START + orjson.dumps(start).removesuffix(b"}") + b',"choices":['
        self._end = b'],"usage":null' if include_usage else b"]"
        self._close = b'},"logprobs":null,"finish_reason":null}' + self._end + b"}" + sse.END
        self.unfinished = set(range(choices))
        self._open = [self._start + b'{"index":%d,"delta":{"content":' % index for index in range(choices)]

    def roles(self) -> bytes:
        """The chunks that open the stream, one a choice."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(
            self._chunk({"index": index, "delta": delta, "logprobs": None, "finish_reason": None})
            for index in range(self.choices)
        )

    def encode(self, delta: Delta) -> bytes:
        """The events for one delta; empty where it says nothing.

        Raises:
            EngineFailed: the delta is of a choice that was not asked for.
        """
        if not 0 <= delta.index < self.choices:
            raise EngineFailed(self._model, f"it gave choice {delta.index} of {self.choices}, counted from 0")
        if delta.logprobs is None and delta.text:
            data = self._open[delta.index] + quoted(delta.text) + self._close
        elif delta.logprobs is not None:
            data = self._chunk(
                {
                    "index": delta.index,
                    "delta": {"content": valid(delta.text)},
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
        """A choice's finish chunk; after the last one the usage. `moa` is in the stream's last chunk."""
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
    """`text` as a JSON string; a lone surrogate, which UTF-8 cannot carry, becomes a question mark."""
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return orjson.dumps(valid(text))

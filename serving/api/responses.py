"""Answers as OpenAI's JSON, whole or in chunks: text, reasoning, tool calls, usage, log probabilities and `moa`."""

import math
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import orjson

from serving import sse
from serving.errors import EngineFailed
from serving.types import (
    AgentTrace,
    Choice,
    Completion,
    Delta,
    Report,
    TokenLogprob,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
)

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
                "message": _message(choice),
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


def _message(choice: Choice) -> Json:
    content = None if choice.tool_calls and not choice.text else encodable(choice.text)
    message: Json = {"role": "assistant", "content": content, "refusal": None}
    if choice.reasoning:
        message |= reasoning_json(choice.reasoning)
    if choice.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in choice.tool_calls]
    return message


def reasoning_json(text: str) -> Json:
    """Reasoning under both names that clients read: DeepSeek's and vLLM's newer one."""
    return dict.fromkeys(("reasoning_content", "reasoning"), encodable(text))


def _tool_call(call: ToolCall) -> Json:
    function = {"name": encodable(call.name), "arguments": encodable(call.arguments)}
    return {"id": encodable(call.id), "type": "function", "function": function}


def _tool_call_piece(piece: ToolCallDelta) -> Json:
    """Piece of a streamed call; `id`, `type` and the name are in the first one only."""
    if piece.id is None or piece.name is None:
        return {"index": piece.index, "function": {"arguments": encodable(piece.arguments)}}
    return {"index": piece.index, **_tool_call(ToolCall(piece.id, piece.name, piece.arguments))}


def usage_json(usage: TokenUsage) -> Json:
    """OpenAI's usage object; an unknown count is null."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
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
            {"layer": layer, "agents": [agent_json(agent) for agent in members]}
            for layer, members in groupby(agents, key=lambda agent: agent.layer)
        ]
    return moa


def agent_json(agent: AgentTrace) -> Json:
    """One agent of the trace."""
    fields: Json = {
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
    if agent.reasoning:
        fields["reasoning"] = encodable(agent.reasoning)
    if agent.tool_calls:
        fields["tool_calls"] = [_tool_call(call) for call in agent.tool_calls]
    return fields


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


async def without_reasoning(stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """`stream` without reasoning in its deltas and in the trace; closing it closes `stream`."""
    async with aclosing(stream):
        async for delta in stream:
            report = delta.report
            if report is not None:
                report = replace(report, agents=tuple(replace(agent, reasoning="") for agent in report.agents))
            yield replace(delta, reasoning="", report=report)


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
        opens = [self._start + b'{"index":%d,"delta":{' % index for index in range(choices)]
        self._open = [start + b'"content":' for start in opens]
        self._open_reasoning = [start + b'"reasoning_content":' for start in opens]

    def roles(self) -> bytes:
        """Chunks that open the stream: one per choice, with its role."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(
            self._chunk({"index": index, "delta": delta, "logprobs": None, "finish_reason": None})
            for index in range(self.choices)
        )

    def encode(self, delta: Delta) -> bytes:
        """Events for one delta: its reasoning, text, tool calls and end, in this order; empty if it has none of them.

        Raises:
            EngineFailed: the delta belongs to a choice that was not asked for.
        """
        index, text = delta.index, delta.text
        if not 0 <= index < self.choices:
            raise EngineFailed(
                self._model, f"it returned a choice with index {index}, but was asked for {self.choices} choices"
            )
        if delta.logprobs is None:
            try:  # without a call of our own: this runs for each token
                data = self._open[index] + orjson.dumps(text) + self._close if text else b""
            except orjson.JSONEncodeError:
                data = self._open[index] + orjson.dumps(encodable(text)) + self._close
        else:
            data = self._chunk(
                {
                    "index": index,
                    "delta": {"content": encodable(text)},
                    "logprobs": logprobs_json(delta.logprobs),
                    "finish_reason": None,
                }
            )
        if delta.reasoning or delta.tool_calls:
            data = self._reasoning(delta) + data + self._tool_calls(delta)
        if delta.finish_reason is None and delta.usage is None:
            return data
        return data + self._ending(delta)

    def _reasoning(self, delta: Delta) -> bytes:
        if not delta.reasoning:
            return b""
        text = orjson.dumps(encodable(delta.reasoning))
        return self._open_reasoning[delta.index] + text + b',"reasoning":' + text + self._close

    def _tool_calls(self, delta: Delta) -> bytes:
        if not delta.tool_calls:
            return b""
        pieces = {"tool_calls": [_tool_call_piece(piece) for piece in delta.tool_calls]}
        return self._chunk({"index": delta.index, "delta": pieces, "logprobs": None, "finish_reason": None})

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

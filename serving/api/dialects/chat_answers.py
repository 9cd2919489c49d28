"""Answers as OpenAI's JSON, whole or in chunks: text, reasoning, tool calls, usage, log probabilities and `moa`."""

import math
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import orjson

from serving import sse
from serving.api.dialects.live import event_json, with_panel
from serving.api.dialects.openai_json import Json, reasoning_json, tool_call_json, trace_json, usage_json
from serving.api.dialects.preview import with_preview
from serving.api.errors import encodable, error_json
from serving.conversation import ToolCall, ToolCallDelta
from serving.errors import EngineFailed
from serving.events import AgentText, EventDelta
from serving.types import Choice, Completion, Delta, EventDetail, MoaOptions, Report, TokenLogprob
from serving.usage import TokenUsage

MIN_LOGPROB = -9999.0  # OpenAI's value for "practically impossible"; JSON has no infinity


@dataclass(frozen=True, slots=True)
class AnswerInfo:
    """Fields that a whole answer, or each of its chunks, begins with."""

    id: str
    created: int  # Unix time in seconds
    model: str


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """Answer to one chat request, whole or streamed."""

    info: AnswerInfo
    choices: int = 1
    include_usage: bool = False
    include_reasoning: bool = True
    moa: MoaOptions = field(default_factory=MoaOptions)
    continuous_usage: bool = False

    @property
    def id(self) -> str:
        """Id of the answer."""
        return self.info.id

    def whole(self, completion: Completion) -> Json:
        """Body of the answer that is not streamed."""
        return completion_json(self.info, completion, self.moa.trace)

    def events(self) -> "ChunkEncoder":
        """Encoder of the answer as a stream."""
        options = (self.info, self.choices, self.include_usage, self.moa.trace, self.continuous_usage)
        if self.moa.events is None:
            return ChunkEncoder(*options)
        return LiveChunkEncoder(*options, detail=self.moa.events, include_reasoning=self.include_reasoning)

    def deltas(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """`stream` with the reasoning that the request asks for: none, the answer's, or the proposals before it."""
        if not self.include_reasoning:
            stream = without_reasoning(stream)
        if self.moa.show_reasoning:
            stream = with_panel(stream, events=self.moa.events is not None)
        elif self.moa.preview:
            stream = with_preview(stream, events=self.moa.events is not None)
        return stream


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
        message["tool_calls"] = [tool_call_json(call) for call in choice.tool_calls]
    return message


def _tool_call_piece(piece: ToolCallDelta) -> Json:
    """Piece of a streamed call; `id`, `type` and the name are in the first one only."""
    if piece.id is None or piece.name is None:
        return {"index": piece.index, "function": {"arguments": encodable(piece.arguments)}}
    return {"index": piece.index, **tool_call_json(ToolCall(piece.id, piece.name, piece.arguments))}


def logprobs_json(tokens: Iterable[TokenLogprob]) -> Json:
    """OpenAI's logprobs object."""
    content = [{**_logprob(token), "top_logprobs": [_logprob(other) for other in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def _logprob(token: TokenLogprob) -> Json:
    logprob = MIN_LOGPROB if math.isnan(token.logprob) else max(token.logprob, MIN_LOGPROB)
    return {"token": encodable(token.token), "logprob": logprob, "bytes": list(token.token_bytes) or None}


def moa_json(report: Report | None, trace: bool) -> Json | None:
    """The `moa` object; None for a model's answer without a trace. `usage` is the team's, whatever the answer's is."""
    if report is None:
        return None
    moa: Json = {
        "recipe": report.recipe,
        "degraded": report.degraded,
        "reasons": [encodable(reason) for reason in report.reasons],
        "usage": usage_json(report.usage),
    }
    if report.cache is not None:
        moa |= {"cache": report.cache, "cached": report.cache == "hit"}
    if trace:
        moa["trace"] = trace_json(report)
    return moa


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

    def __init__(
        self, info: AnswerInfo, choices: int, include_usage: bool, trace: bool, continuous_usage: bool = False
    ) -> None:
        """Prepare the constant parts of all chunks.

        Args:
            info: the answer's id, time and model.
            choices: number of choices (`n`).
            include_usage: end with a chunk that has `usage` and no choices; the others then have `usage: null`.
            trace: put the trace into the `moa` object of the last chunk.
            continuous_usage: all chunks have the usage so far; null until a count is known.
        """
        self.include_usage, self.trace, self.choices, self._model = include_usage, trace, choices, info.model
        start = {"id": info.id, "object": "chat.completion.chunk", "created": info.created, "model": info.model}
        self._start = sse.START + orjson.dumps(start).removesuffix(b"}") + b',"choices":['
        self.continuous_usage = continuous_usage
        self._end = b'],"usage":null' if include_usage or continuous_usage else b"]"
        self._close = b'},"logprobs":null,"finish_reason":null}' + self._end + b"}" + sse.END
        self.unfinished = set(range(choices))
        opens = [self._start + b'{"index":%d,"delta":{' % index for index in range(choices)]
        self._open = [start + b'"content":' for start in opens]
        self._open_reasoning = [start + b'"reasoning_content":' for start in opens]

    def opening(self) -> bytes:
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
        if self.continuous_usage:
            self._count(delta.usage or delta.running_usage)
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

    def _count(self, so_far: TokenUsage | None) -> None:
        """Put the usage so far into this chunk and all later ones; None: not known better than before."""
        if so_far is not None:
            self._end = b'],"usage":' + orjson.dumps(usage_json(so_far))
            self._close = b'},"logprobs":null,"finish_reason":null}' + self._end + b"}" + sse.END

    def closing(self) -> bytes:
        """Event that ends every stream."""
        return sse.DONE

    def failure(self, error: Exception) -> bytes:
        """Events that end a stream whose answer has failed."""
        return sse.event(orjson.dumps(error_json(error))) + sse.DONE

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
            data += self._start + self._end + _moa(moa) + b"}" + sse.END
        return data

    def _chunk(self, choice: Json, moa: Json | None = None) -> bytes:
        return self._start + orjson.dumps(choice) + self._end + _moa(moa) + b"}" + sse.END


class LiveChunkEncoder(ChunkEncoder):
    """A chunk encoder that writes events into chunks with an empty delta, which other clients skip."""

    def __init__(
        self,
        info: AnswerInfo,
        choices: int,
        include_usage: bool,
        trace: bool,
        continuous_usage: bool = False,
        *,
        detail: EventDetail,
        include_reasoning: bool,
    ) -> None:
        """Prepare as `ChunkEncoder` does. Events of the `detail` "text" have the proposals' text.

        `include_reasoning`: they also have the agents' reasoning.
        """
        super().__init__(info, choices, include_usage, trace, continuous_usage)
        self.with_text = detail == "text"
        self._hidden = {"text": not self.with_text, "reasoning": not (self.with_text and include_reasoning)}

    def encode(self, delta: Delta) -> bytes:
        if not isinstance(delta, EventDelta):
            return super().encode(delta)
        events = [event_json(one) for one in delta.events if self.with_text or not isinstance(one, AgentText)]
        for event in events:
            for name, hidden in self._hidden.items():
                if hidden:
                    event.pop(name, None)
        if not events:
            return b""
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}
        return self._chunk(choice, {"events": events})


def _moa(moa: Json | None) -> bytes:
    return b"" if moa is None else b',"moa":' + orjson.dumps(moa)

"""Answers of the Messages API: deltas to events, and the whole message, which is made of the events' blocks."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from serving import sse
from serving.api.dialects.chat_answers import moa_json
from serving.api.dialects.field_names import OF_MESSAGES, renamed
from serving.api.dialects.messages_errors import messages_error
from serving.api.dialects.openai_json import Json
from serving.api.dialects.preview import with_preview
from serving.api.dialects.sealed import seal
from serving.api.dialects.unsupported_tools import with_omitted
from serving.api.errors import encodable
from serving.conversation import FinishReason, ToolCallDelta
from serving.engine import delta_of
from serving.errors import EngineFailed
from serving.types import Completion, Delta
from serving.usage import TokenUsage

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
PING = sse.named_event(b"ping", b'{"type":"ping"}')
Kind = Literal["thinking", "text", "tool_use"]


@dataclass(frozen=True, slots=True)
class MessagesAnswer:
    """Answer to one request, whole or streamed.

    Attributes:
        id: of the answer.
        model: id that the request named.
        request_id: repeated in errors within the stream.
        show_thinking: thinking blocks have their text; False: only its signature.
        trace: the `moa` object has a trace.
        omitted: a sentence for each tool of the request that was left out.
        preview: the first proposal is shown as reasoning.
    """

    id: str
    model: str
    request_id: str
    show_thinking: bool = True
    trace: bool = False
    omitted: tuple[str, ...] = ()
    preview: bool = False
    choices: int = 1

    def whole(self, completion: Completion) -> Json:
        """Body of the answer that is not streamed."""
        encoder = self.events()
        encoder.add(delta_of(completion))
        return encoder.message()

    def events(self) -> "MessageEncoder":
        """Encoder of the answer as a stream."""
        return MessageEncoder(self)

    def deltas(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """`stream`, with the preview before the answer if the request asks for it."""
        return with_preview(stream, events=False) if self.preview else stream


class MessageEncoder:
    """Encodes the stream of one answer as events.

    Attributes:
        unfinished: choices without a finish reason so far.
        blocks: content of the message so far.
    """

    def __init__(self, answer: MessagesAnswer) -> None:
        """Encode `answer`."""
        self._answer = answer
        self.unfinished = {0}
        self.blocks: list[Json] = []
        self._open: Kind | None = None  # kind of the last block, which is not ended
        self._pieces: list[str] = []  # of the open block
        self._calls: list[int] = []  # indexes of the tool calls that have begun
        self._ending: Json = {"stop_reason": None, "stop_sequence": None}
        self._usage = usage_json(TokenUsage())
        self._moa: Json | None = None
        self._events: list[Json] = []

    def opening(self) -> bytes:
        """Events before the first delta. The usage in them is zero: the prompt is not yet counted."""
        self._emit("message_start", message=self.message())
        return self._encoded() + PING

    def encode(self, delta: Delta) -> bytes:
        """Events for one delta. Raises `EngineFailed` as `add`."""
        self.add(delta)
        return self._encoded()

    def closing(self) -> bytes:
        """Nothing: the terminal delta has ended the message."""
        return b""

    def failure(self, error: Exception) -> bytes:
        """Event that ends a stream whose answer has failed."""
        named = renamed(error, OF_MESSAGES)
        return sse.named_event(b"error", orjson.dumps(messages_error(named, self._answer.request_id)))

    def message(self) -> Json:
        """The message so far."""
        message: Json = {
            "id": self._answer.id,
            "type": "message",
            "role": "assistant",
            "model": self._answer.model,
            "content": list(self.blocks),
            **self._ending,
            "usage": self._usage,
        }
        return message if self._moa is None else {**message, "moa": self._moa}

    def add(self, delta: Delta) -> None:
        """Make the events of `delta`: its thinking, text, tool calls and end.

        Raises:
            EngineFailed: the delta belongs to another choice, or continues an ended call.
        """
        if delta.index != 0:
            raise EngineFailed(self._answer.model, f"it returned choice {delta.index}, but was asked for one")
        if delta.reasoning:
            text = encodable(delta.reasoning)
            self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            self._pieces.append(text)
            if self._answer.show_thinking:
                self._emit_delta({"type": "thinking_delta", "thinking": text})
        if delta.text:
            text = encodable(delta.text)
            self._begin("text", {"type": "text", "text": ""})
            self._pieces.append(text)
            self._emit_delta({"type": "text_delta", "text": text})
        for piece in delta.tool_calls:
            self._add_call(piece)
        if delta.finish_reason is not None:
            reason = STOP_REASONS[delta.finish_reason] if delta.stop is None else "stop_sequence"
            self._ending = {"stop_reason": reason, "stop_sequence": delta.stop}
            self.unfinished.discard(0)
        if delta.usage is not None and not self.unfinished:
            self._end(delta, delta.usage)

    def _add_call(self, piece: ToolCallDelta) -> None:
        if self._open != "tool_use" or self._calls[-1] != piece.index:
            if piece.index in self._calls or piece.id is None or piece.name is None:
                raise EngineFailed(self._answer.model, f"tool call {piece.index} has no beginning, or had ended before")
            self._close()
            self._calls.append(piece.index)
            block = {"type": "tool_use", "id": encodable(piece.id), "name": encodable(piece.name), "input": {}}
            self._begin("tool_use", block)
        if piece.arguments:
            text = encodable(piece.arguments)
            self._pieces.append(text)
            self._emit_delta({"type": "input_json_delta", "partial_json": text})

    def _begin(self, kind: Kind, block: Json) -> None:
        """Begin `block`, unless a block of its kind is open."""
        if self._open == kind:
            return
        self._close()
        self._open = kind
        self.blocks.append(block)
        self._emit("content_block_start", index=len(self.blocks) - 1, content_block=block)

    def _close(self) -> None:
        """End the open block, if there is one."""
        if self._open is None:
            return
        block, whole = dict(self.blocks[-1]), "".join(self._pieces)
        if self._open == "thinking":
            signature = seal(whole)
            self._emit_delta({"type": "signature_delta", "signature": signature})
            block |= {"thinking": whole if self._answer.show_thinking else "", "signature": signature}
        elif self._open == "text":
            block["text"] = whole
        else:
            block["input"] = _input(whole)
        self.blocks[-1] = block
        self._emit("content_block_stop", index=len(self.blocks) - 1)
        self._open = None
        self._pieces = []

    def _end(self, delta: Delta, usage: TokenUsage) -> None:
        self._close()
        self._usage = usage_json(usage)
        moa = moa_json(delta.report, self._answer.trace)
        self._moa = with_omitted(moa, self._answer.model, self._answer.omitted)
        extra = {} if self._moa is None else {"moa": self._moa}
        self._emit("message_delta", delta=self._ending, usage=self._usage, **extra)
        self._emit("message_stop")

    def _emit_delta(self, delta: Json) -> None:
        self._emit("content_block_delta", index=len(self.blocks) - 1, delta=delta)

    def _emit(self, kind: str, **fields: Any) -> None:
        self._events.append({"type": kind, **fields})

    def _encoded(self) -> bytes:
        data = b"".join(sse.named_event(event["type"].encode(), orjson.dumps(event)) for event in self._events)
        self._events.clear()
        return data


def _input(arguments: str) -> Json:
    """Input of a tool call. What is no JSON object is given under `arguments`, where a client's check finds it."""
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = arguments
    return value if isinstance(value, dict) else {"arguments": value}


def usage_json(usage: TokenUsage) -> Json:
    """The usage object. Clients know no null here: an unknown count is 0; the reasons in `moa` say so."""
    cached = usage.cached_tokens or 0
    return {
        "input_tokens": max((usage.prompt_tokens or 0) - cached, 0),  # without those of the cache
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens or 0,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens or 0},
    }

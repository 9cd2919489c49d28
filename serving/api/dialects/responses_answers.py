"""Answers of the Responses API: deltas to events. A whole answer is the response in the last event of its stream."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from serving import sse
from serving.api.dialects.chat_answers import moa_json
from serving.api.dialects.openai_json import Json
from serving.api.dialects.preview import with_preview
from serving.api.dialects.responses_json import error_of, logprobs_json, usage_json
from serving.api.dialects.sealed import seal
from serving.api.dialects.unsupported_tools import with_omitted
from serving.api.errors import encodable
from serving.conversation import FinishReason, ToolCallDelta
from serving.engine import delta_of
from serving.errors import EngineFailed
from serving.types import Completion, Delta, TokenLogprob

INCOMPLETE: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class ResponsesAnswer:
    """Answer to one request, whole or streamed.

    Attributes:
        id: of the answer; the ids of its items are made from it.
        head: fields of the response that the request decides.
        sealed: reasoning items carry their text in `encrypted_content`, too.
        trace: the `moa` object has a trace.
        omitted: a sentence for each tool of the request that was left out.
        preview: the first proposal is shown as reasoning.
        namespaces: namespace and name of functions, by the name that the model knows.
    """

    id: str
    model: str
    head: Json
    sealed: bool = False
    trace: bool = False
    omitted: tuple[str, ...] = ()
    preview: bool = False
    namespaces: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    choices: int = 1

    def whole(self, completion: Completion) -> Json:
        """Body of the answer that is not streamed."""
        response: Json = self.events().add(delta_of(completion))[-1]["response"]
        return response

    def events(self) -> "ResponseEncoder":
        """Encoder of the answer as a stream."""
        return ResponseEncoder(self)

    def deltas(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """`stream`, with the preview before the answer if the request asks for it."""
        return with_preview(stream, events=False) if self.preview else stream


@dataclass(slots=True)
class _OpenItem:
    """Output item that is being written."""

    kind: Literal["reasoning", "message", "function_call"]
    id: str
    place: int  # in the output
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    call: int = -1  # index of the tool call
    call_id: str = ""
    name: str = ""
    namespace: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponseEncoder:
    """Encodes the stream of one answer as events.

    Attributes:
        unfinished: choices without a finish reason so far.
        output: items that are complete.
    """

    def __init__(self, answer: ResponsesAnswer) -> None:
        """Encode `answer`."""
        self._answer = answer
        self.unfinished = {0}
        self.output: list[Json] = []
        self._open: _OpenItem | None = None
        self._closed_calls: set[int] = set()
        self._finish_reason: FinishReason | None = None
        self._events: list[Json] = []
        self._count = 0

    def opening(self) -> bytes:
        """Events before the first delta."""
        for kind in ("response.created", "response.in_progress"):
            self._emit(kind, response=self._response("in_progress"))
        return self._encoded()

    def encode(self, delta: Delta) -> bytes:
        """Events for one delta. Raises `EngineFailed` as `add`."""
        self.add(delta)
        return self._encoded()

    def closing(self) -> bytes:
        """Nothing: the last event is the completed response."""
        return b""

    def failure(self, error: Exception) -> bytes:
        """Event that ends a stream whose answer has failed."""
        self._emit("response.failed", response=self._response("failed") | {"error": error_of(error)})
        return self._encoded()

    def add(self, delta: Delta) -> list[Json]:
        """Events that are not yet encoded, with those of `delta`: its reasoning, text, tool calls and end.

        Raises:
            EngineFailed: the delta belongs to another choice, or continues an ended call.
        """
        if delta.index != 0:
            raise EngineFailed(self._answer.model, f"it returned choice {delta.index}, but was asked for one")
        if delta.reasoning:
            self._add_reasoning(encodable(delta.reasoning))
        if delta.text or (delta.logprobs and self._open is not None and self._open.kind == "message"):
            self._add_text(encodable(delta.text), delta.logprobs or ())
        for piece in delta.tool_calls:
            self._add_call(piece)
        if delta.finish_reason is not None:
            self._finish_reason = delta.finish_reason
            self.unfinished.discard(0)
        if delta.usage is not None and self._finish_reason is not None:
            self._end(delta, self._finish_reason)
        return self._events

    def _add_reasoning(self, text: str) -> None:
        item = self._opened("reasoning")
        item.pieces.append(text)
        self._emit_of(item, "response.reasoning_text.delta", content_index=0, delta=text)

    def _add_text(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> None:
        item = self._opened("message")
        item.pieces.append(text)
        item.logprobs.extend(logprobs)
        shown = logprobs_json(logprobs, with_bytes=False)
        self._emit_of(item, "response.output_text.delta", content_index=0, delta=text, logprobs=shown)

    def _add_call(self, piece: ToolCallDelta) -> None:
        item = self._open
        if item is None or item.call != piece.index:
            if piece.index in self._closed_calls or piece.id is None or piece.name is None:
                raise EngineFailed(self._answer.model, f"tool call {piece.index} has no beginning, or had ended before")
            self._close()
            namespace, name = self._answer.namespaces.get(piece.name, (None, encodable(piece.name)))
            call: Json = {"call": piece.index, "call_id": encodable(piece.id), "name": name, "namespace": namespace}
            item = self._start("function_call", **call)
        if piece.arguments:
            text = encodable(piece.arguments)
            item.pieces.append(text)
            self._emit_of(item, "response.function_call_arguments.delta", delta=text)

    def _opened(self, kind: Literal["reasoning", "message"]) -> _OpenItem:
        """The open item if it is of this kind, else a new one."""
        if self._open is not None and self._open.kind == kind:
            return self._open
        self._close()
        return self._start(kind)

    def _start(self, kind: Literal["reasoning", "message", "function_call"], **call: Any) -> _OpenItem:
        place = len(self.output)
        prefix = {"reasoning": "rs", "message": "msg", "function_call": "fc"}[kind]
        item = self._open = _OpenItem(kind, f"{prefix}_{self._answer.id.removeprefix('resp_')}_{place}", place, **call)
        self._emit("response.output_item.added", output_index=place, item=self._item(item, "in_progress"))
        if kind != "function_call":
            self._emit_of(item, "response.content_part.added", content_index=0, part=self._part(item))
        return item

    def _close(self, status: str = "completed") -> None:
        """End the open item, if there is one."""
        item = self._open
        if item is None:
            return
        self._open = None
        if item.kind == "function_call":
            self._closed_calls.add(item.call)
            self._emit_of(item, "response.function_call_arguments.done", name=item.name, arguments=item.text)
        else:
            done: Json = {"content_index": 0, "text": item.text}
            if item.kind == "message":
                done["logprobs"] = logprobs_json(item.logprobs, with_bytes=False)
            kind = "output_text" if item.kind == "message" else "reasoning_text"
            self._emit_of(item, f"response.{kind}.done", **done)
            self._emit_of(item, "response.content_part.done", content_index=0, part=self._part(item))
        self.output.append(self._item(item, status))
        self._emit("response.output_item.done", output_index=item.place, item=self.output[-1])

    def _part(self, item: _OpenItem) -> Json:
        if item.kind == "reasoning":
            return {"type": "reasoning_text", "text": item.text}
        logprobs = logprobs_json(item.logprobs, with_bytes=True)
        return {"type": "output_text", "text": item.text, "annotations": [], "logprobs": logprobs}

    def _item(self, item: _OpenItem, status: str) -> Json:
        common: Json = {"id": item.id, "type": item.kind, "status": status}
        if item.kind == "function_call":
            namespace = {} if item.namespace is None else {"namespace": item.namespace}
            return {**common, "call_id": item.call_id, "name": item.name, **namespace, "arguments": item.text}
        content = [] if status == "in_progress" else [self._part(item)]
        if item.kind == "message":
            return {**common, "role": "assistant", "content": content}
        sealed = seal(item.text) if self._answer.sealed and status != "in_progress" else None
        return {**common, "summary": [], "content": content, "encrypted_content": sealed}

    def _end(self, delta: Delta, reason: FinishReason) -> None:
        cut = INCOMPLETE.get(reason)
        status = "completed" if cut is None else "incomplete"
        self._close(status)
        response = self._response(status)
        response["usage"] = None if delta.usage is None else usage_json(delta.usage)
        if cut is not None:
            response["incomplete_details"] = {"reason": cut}
        moa = moa_json(delta.report, self._answer.trace)
        if (moa := with_omitted(moa, self._answer.model, self._answer.omitted)) is not None:
            response["moa"] = moa
        self._emit(f"response.{status}", response=response)

    def _response(self, status: str) -> Json:
        return {
            "id": self._answer.id,
            "object": "response",
            **self._answer.head,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": list(self.output),
            "usage": None,
        }

    def _emit_of(self, item: _OpenItem, kind: str, **fields: Any) -> None:
        self._emit(kind, item_id=item.id, output_index=item.place, **fields)

    def _emit(self, kind: str, **fields: Any) -> None:
        self._events.append({"type": kind, "sequence_number": self._count, **fields})
        self._count += 1

    def _encoded(self) -> bytes:
        data = b"".join(sse.named_event(event["type"].encode(), orjson.dumps(event)) for event in self._events)
        self._events.clear()
        return data

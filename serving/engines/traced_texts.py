"""Prompts and answers of model calls as attributes of spans, which the operator switches on.

Their JSON is that of OpenTelemetry's conventions for generative AI: messages of a role and parts.
"""

from contextlib import suppress
from typing import Any

import orjson

from serving.conversation import Message, ToolCall
from serving.engine import add_piece
from serving.errors import IncompleteGeneration
from serving.redaction import redacted
from serving.runtime.prompts import prompt_messages
from serving.surrogates import well_formed
from serving.tracing.spans import Attributes
from serving.types import Delta, GenerateRequest

Json = dict[str, Any]


class TracedTexts:
    """Texts of one call: its prompt, and its answer so far."""

    def __init__(self, request: GenerateRequest) -> None:
        """Begin with the prompt of `request`."""
        self._request = request
        self._texts: dict[int, list[str]] = {}
        self._thoughts: dict[int, list[str]] = {}
        self._calls: dict[int, dict[int, ToolCall]] = {}
        self._reasons: dict[int, str] = {}

    def add(self, delta: Delta) -> None:
        """Take a piece of the answer into account."""
        if delta.text:
            self._texts.setdefault(delta.index, []).append(delta.text)
        if delta.reasoning:
            self._thoughts.setdefault(delta.index, []).append(delta.reasoning)
        for piece in delta.tool_calls:
            with suppress(IncompleteGeneration):  # of a broken stream, which its reader refuses
                add_piece("", self._calls.setdefault(delta.index, {}), piece)
        if delta.finish_reason is not None:
            self._reasons[delta.index] = delta.finish_reason

    def attributes(self) -> Attributes:
        """The prompt and the answer as JSON texts."""
        prompt = self._request.prompt
        if prompt is None:
            given = [_message(message) for message in prompt_messages(self._request)]
        else:
            content = prompt.content if isinstance(prompt.content, str) else f"{len(prompt.content)} token ids"
            given = [{"role": "user", "parts": [_text(content)]}]
        return {
            "gen_ai.input.messages": _json(given),
            "gen_ai.output.messages": _json([self._choice(index) for index in self._indexes]),
        }

    @property
    def _indexes(self) -> list[int]:
        return sorted({*self._texts, *self._thoughts, *self._calls, *self._reasons})

    def _choice(self, index: int) -> Json:
        parts = []
        if thoughts := "".join(self._thoughts.get(index, ())):
            parts.append({"type": "reasoning", "content": _clean(thoughts)})
        if text := "".join(self._texts.get(index, ())):
            parts.append(_text(text))
        parts += [_call(call) for _, call in sorted(self._calls.get(index, {}).items())]
        return {"role": "assistant", "parts": parts, "finish_reason": self._reasons.get(index, "error")}


def _message(message: Message) -> Json:
    if message.role == "tool":
        part = {"type": "tool_call_response", "id": message.tool_call_id, "response": _clean(message.content)}
        return {"role": "tool", "parts": [part]}
    parts = [_text(message.content)] if message.content else []
    return {"role": message.role, "parts": parts + [_call(call) for call in message.tool_calls]}


def _text(text: str) -> Json:
    return {"type": "text", "content": _clean(text)}


def _call(call: ToolCall) -> Json:
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": _clean(call.arguments)}


def _clean(text: str) -> str:
    """`text` without known keys, as UTF-8 can encode it."""
    return redacted(well_formed(text))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()

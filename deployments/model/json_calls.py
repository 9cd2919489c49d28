"""Tool calls as JSON: the structured output of `tool_choice` required or a named function, read while it is written."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from deployments.model.coalescing import merged_pieces
from serving.conversation import ToolCallDelta

_CALL_BEGIN = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"parameters"\s*:\s*(?=\S)', re.DOTALL)


@dataclass(slots=True)
class JsonCalls:
    """Reader of calls as JSON: a list of `{"name", "parameters"}`, or the arguments alone if `named` is set."""

    named: str | None
    new_id: Callable[[], str]  # of a call
    _index: int = -1
    _buffer: str = ""  # an element of which nothing was given yet
    _open: bool = False  # the arguments of a call are being read
    _depth: int = 0
    _quoted: bool = False
    _escaped: bool = False

    def feed(self, text: str) -> tuple[ToolCallDelta, ...]:
        """Pieces of calls in the next `text`."""
        if self.named is not None:
            if self._index < 0:
                text = text.lstrip()
                if not text:
                    return ()
                self._index = 0
                return (ToolCallDelta(0, self.new_id(), self.named, text),)
            return (ToolCallDelta(0, arguments=text),)
        found: list[ToolCallDelta] = []
        for character in text:
            self._step(character, found)
        return merged_pieces(tuple(found))

    def _step(self, character: str, found: list[ToolCallDelta]) -> None:
        before = self._depth
        self._track(character)
        if self._open:
            found.append(ToolCallDelta(self._index, arguments=character))
            self._open = self._depth > 2  # 1: the list, 2: its element
            return
        if self._depth < 2 and before < 2:
            return
        self._buffer += character
        if self._depth >= 2 and (match := _CALL_BEGIN.match(self._buffer)):
            self._index += 1
            arguments = self._buffer[match.end() :]
            found.append(ToolCallDelta(self._index, self.new_id(), json.loads(match[1]), arguments))
            self._buffer, self._open = "", self._depth > 2
        elif self._depth < 2:
            self._whole(found)
            self._buffer = ""

    def _whole(self, found: list[ToolCallDelta]) -> None:
        """The call of a complete element whose fields are in another order."""
        try:
            call = json.loads(self._buffer)
            name, arguments = call["name"], json.dumps(call["parameters"], ensure_ascii=False)
        except (ValueError, KeyError):
            return
        self._index += 1
        found.append(ToolCallDelta(self._index, self.new_id(), name, arguments))

    def _track(self, character: str) -> None:
        """Follow quotes and brackets."""
        if self._quoted:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == '"':
                self._quoted = False
        elif character == '"':
            self._quoted = True
        elif character in "[{":
            self._depth += 1
        elif character in "]}":
            self._depth -= 1

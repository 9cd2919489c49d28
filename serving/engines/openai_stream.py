"""OpenAI's chat format from the client's side: the events of an answer."""

import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from serving import sse
from serving.conversation import FinishReason, ToolCallDelta
from serving.engines.openai_errors import error_of_stream
from serving.engines.openai_fields import InvalidChunk, finish_reason, logprob, string, usage_of
from serving.errors import EngineFailed, IncompleteGeneration, MoaError
from serving.surrogates import SurrogateJoiner, well_formed
from serving.types import Delta, Timing
from serving.usage import UNKNOWN_USAGE

OWN_NAMES = ("", "message")  # of events whose data is a chunk in any case
MAX_CALLS = 1024  # pieces of tool calls in a chunk
logger = logging.getLogger(__name__)


class StreamReader:
    """Converts events to deltas. Finish reasons are kept back until the end, when the usage is known.

    An answer that came whole, in one JSON object, is read as its only chunk.

    Attributes:
        complete: nothing more is needed of the stream: `[DONE]`, or every choice and the usage have arrived.
    """

    def __init__(self, model: str, began_s: float, choices: int = 1) -> None:
        """Read an answer of `model` with as many `choices`, asked for at loop time `began_s`."""
        self.model, self.began_s, self.choices = model, began_s, choices
        self.first_s: float | None = None
        self.reasons: dict[int, FinishReason] = {}  # of the choices that have ended
        self.usage = UNKNOWN_USAGE
        self.complete = False
        self._visible: set[int] = set()  # choices with a text that is more than white space
        self._texts: dict[tuple[int, str], SurrogateJoiner] = {}  # by choice and field
        self._calls: dict[int, _ToolCalls] = {}  # of each choice that has some

    @property
    def ended(self) -> bool:
        """True if every choice has ended; what is missing may be the usage and `[DONE]`."""
        return len(self.reasons) == self.choices

    def read(self, event: sse.Event, now_s: float) -> list[Delta]:
        """Deltas of one event, read at loop time `now_s`; it needs no event loop, and may run in a thread.

        What follows the end of every choice cannot make the answer fail any more.

        Raises:
            EngineFailed: the event is no chunk of an answer.
            MoaError: the error that the endpoint reports.
        """
        if self.complete:
            return []
        ended_before = self.ended  # an event that fails has not ended anything
        try:
            deltas = self._read(event)
        except MoaError as error:
            if not ended_before:
                raise
            logger.warning("after the end of an answer: %s", error)
            self.complete = True
            return []
        if deltas and self.first_s is None:
            self.first_s = now_s
        return deltas

    def _read(self, event: sse.Event) -> list[Delta]:
        data = event.data.strip()
        if event.name == "error":
            raise error_of_stream(self.model, self._reported(data))
        if data == sse.DONE_DATA:
            self.complete = True
        if self.complete or not data:
            return []
        try:
            chunk = self._json(data)
        except EngineFailed:
            if event.name in OWN_NAMES:
                raise
            return []  # an event of the endpoint's own, such as `event: ping`
        if not isinstance(chunk, dict):
            raise EngineFailed(self.model, "its endpoint sent a chunk that is not an object")
        if chunk.get("error") or chunk.get("object") == "error":
            raise error_of_stream(self.model, chunk.get("error") or chunk)
        try:
            choices = _list(chunk, "choices")
            if len(choices) > self.choices:
                raise InvalidChunk(f"it has {len(choices)} choices, but {self.choices} were asked for")
            deltas = [self._read_choice(choice) for choice in choices]
        except InvalidChunk as invalid:
            raise EngineFailed(self.model, f"its endpoint sent an invalid chunk: {invalid}") from None
        if isinstance(given := chunk.get("usage"), dict):
            self.usage = usage_of(given)
            self.complete = self.ended and self.usage.completion_tokens is not None
        return [delta for delta in deltas if delta is not None]

    def _reported(self, data: bytes) -> object:
        """Error object of an event named `error`, whose data may be text."""
        try:
            found = self._json(data)
        except EngineFailed:
            return data.decode("utf-8", "replace")
        return (found.get("error") or found) if isinstance(found, dict) else found

    def _json(self, data: bytes) -> Any:
        try:
            return json.loads(data.decode("utf-8", "replace"))
        except RecursionError:
            raise EngineFailed(self.model, "its endpoint sent JSON with too many levels") from None
        except ValueError:
            raise EngineFailed(self.model, "its endpoint sent a chunk that is not JSON") from None

    def _read_choice(self, choice: object) -> Delta | None:
        """Delta of a choice, which has ended if it has a finish reason: only once all of it has been read."""
        if not isinstance(choice, dict):
            raise InvalidChunk("a choice is not an object")
        index = choice.get("index")
        if index is None:
            index = 0
        if type(index) is not int or not 0 <= index < self.choices:
            shown = repr(index) if isinstance(index, str | int | float) else type(index).__name__
            raise InvalidChunk(f"the choice index {shown:.20} is not one of 0 to {self.choices - 1}")
        reason = finish_reason(choice.get("finish_reason"))
        if reason == "failed":
            raise InvalidChunk("its finish reason is an error")
        delta = self._delta(index, choice)
        if reason is not None:
            self.reasons[index] = reason
        return delta

    def _text(self, index: int, name: str, given: object) -> str:
        """Text of a field, without half a character at its end."""
        if not (piece := string(given, name)):
            return ""
        if name == "content" and not piece.isspace():
            self._visible.add(index)
        return self._texts.setdefault((index, name), SurrogateJoiner()).feed(piece)

    def _delta(self, index: int, choice: Mapping[str, Any]) -> Delta | None:
        """Return what a choice adds to the answer; None: nothing."""
        delta = choice.get("delta") or choice.get("message") or {}
        if not isinstance(delta, dict):
            raise InvalidChunk("a delta is not an object")
        text = self._text(index, "content", delta.get("content") or delta.get("refusal"))
        reasoning = self._text(index, "reasoning", delta.get("reasoning_content") or delta.get("reasoning"))
        calls = _list(delta, "tool_calls")
        if len(calls) > MAX_CALLS:
            raise InvalidChunk(f"it has {len(calls)} tool calls, more than {MAX_CALLS}")
        own = choice.get("logprobs")
        logprobs = _list(own, "content") if isinstance(own, dict) else []
        if not (text or reasoning or calls or logprobs):
            return None
        return Delta(
            text,
            index,
            tuple(map(logprob, logprobs)) if logprobs else None,
            reasoning=reasoning,
            tool_calls=tuple(map(self._calls.setdefault(index, _ToolCalls()).piece, calls)) if calls else (),
        )

    def ending(self, now_s: float) -> list[Delta]:
        """Final delta of each choice; the last one has the usage.

        A choice that ended for tool calls but has none is a "stop" if it has a text: the text is the answer.

        Raises:
            IncompleteGeneration: the stream was cut: a choice has no finish reason.
            EngineFailed: a choice ended for tool calls, but has neither a call nor a text.
        """
        if not self.ended:
            raise IncompleteGeneration(self.model)
        for index, reason in self.reasons.items():
            if index in self._calls and reason == "stop":  # OpenAI's reason if `tool_choice` names a function
                self.reasons[index] = "tool_calls"
            elif index not in self._calls and reason == "tool_calls":
                if index not in self._visible:
                    raise EngineFailed(self.model, "its endpoint ended an answer for tool calls, but sent none")
                self.reasons[index] = "stop"
        ttft_s = None if self.first_s is None else self.first_s - self.began_s
        timing = Timing(None, ttft_s, now_s - self.began_s)
        *others, last = sorted(self.reasons)
        return [
            *(self._final(index) for index in others),
            self._final(last, usage=self.usage, timing=timing),
        ]

    def _final(self, index: int, **fields: Any) -> Delta:
        """Last delta of a choice, with what was kept back of its texts."""
        rest = {name: joiner.flush() for (of, name), joiner in self._texts.items() if of == index}
        calls = self._calls[index].flush() if index in self._calls else ()
        return Delta(
            rest.get("content", ""),
            index,
            finish_reason=self.reasons[index],
            reasoning=rest.get("reasoning", ""),
            tool_calls=calls,
            **fields,
        )


class _ToolCalls:
    """Tool calls of one choice. Some endpoints leave out indexes or ids, repeat names, or number every call 0."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.positions: dict[int | None, int] = {}  # of the latest call by the endpoint's index
        self._arguments: list[SurrogateJoiner] = []

    def piece(self, raw: object) -> ToolCallDelta:
        """Piece of a call; the first one has an id and a name. Raises `InvalidChunk`."""
        if not isinstance(raw, dict) or not isinstance(function := raw.get("function") or {}, dict):
            raise InvalidChunk("a tool call is not an object")
        index, given_id = raw.get("index"), raw.get("id")
        if index is not None and type(index) is not int:
            raise InvalidChunk("the index of a tool call is not an integer")
        name, arguments = string(function.get("name"), "name"), string(function.get("arguments"), "arguments")
        position = self.positions.get(index)
        if position is not None:
            another = given_id != self.ids[position] if given_id else index is None
            if not (name and another):
                return ToolCallDelta(position, arguments=self._arguments[position].feed(arguments))
        if not name:
            raise InvalidChunk("a tool call has no name")
        position = self.positions[index] = len(self.ids)
        self.ids.append(well_formed(str(given_id or f"call_{secrets.token_hex(12)}")))
        self._arguments.append(SurrogateJoiner())
        arguments = self._arguments[position].feed(arguments)
        return ToolCallDelta(position, self.ids[position], well_formed(name), arguments)

    def flush(self) -> tuple[ToolCallDelta, ...]:
        """Rest of the calls' arguments that was kept back."""
        rests = (joiner.flush() for joiner in self._arguments)
        return tuple(ToolCallDelta(place, arguments=rest) for place, rest in enumerate(rests) if rest)


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    given = raw.get(name)
    if given is None:
        return []
    if not isinstance(given, list):
        raise InvalidChunk(f"{name} is not a list")
    return given

"""Live view of a team, for any dialect: events of the run as JSON, and proposals shown as reasoning."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import fields
from typing import Any

from serving.api.dialects.openai_json import Json, agent_json
from serving.api.errors import encodable
from serving.errors import InvalidRequest
from serving.events import (
    AgentEvent,
    AgentFinished,
    AgentRetried,
    AgentStarted,
    AgentText,
    EventDelta,
    ReasonAdded,
    RunEvent,
)
from serving.types import Delta, EventDetail

DETAILS: Mapping[object, EventDetail | None] = {False: None, True: "progress", "text": "text"}


def event_detail(value: object) -> EventDetail | None:
    """Detail of `moa.events`. Raises `InvalidRequest`."""
    if value is None:
        return None
    if not isinstance(value, bool | str) or value not in DETAILS:
        raise InvalidRequest("Set 'moa.events' to true, false or \"text\".", "moa.events")
    return DETAILS[value]


def shows_reasoning(value: object) -> bool:
    """True if `moa.show` asks for the proposals as reasoning. Raises `InvalidRequest`."""
    if value not in (None, "answer", "reasoning"):
        raise InvalidRequest('Set \'moa.show\' to "answer" or "reasoning".', "moa.show")
    return value == "reasoning"


def event_json(event: RunEvent) -> Json:
    """JSON object of an event. A finished agent has the fields of the trace."""
    found: Json = {"event": event.name, "at_ms": round(event.at_s * 1000, 2)}
    if isinstance(event, AgentFinished):
        agent = agent_json(event.trace)
        if not (event.trace.text or event.trace.reasoning):
            del agent["text"]  # not asked for, or none
        return found | {"layer": event.layer} | agent
    names = [field.name for field in fields(event)[1:]]
    if isinstance(event, AgentText):  # many, so without what is known from the start
        names = ["layer", "agent", *(name for name in ("text", "reasoning") if getattr(event, name))]
    for name in names:
        value: Any = getattr(event, name)
        found[name] = encodable(value) if isinstance(value, str) else value
    return found


class _Panel:
    """The proposals as one text: one agent is written live, the others follow when it has ended."""

    def __init__(self) -> None:
        self._live: tuple[int, int] | None = None  # layer and agent
        self._waiting: dict[tuple[int, int], str] = {}  # text of the other agents, headline first
        self._ended: set[tuple[int, int]] = set()  # of those
        self._written = ""  # text of the live agent
        self._answering: set[tuple[int, int]] = set()  # agents that write the answer
        self._reasons: dict[str, None] = {}  # for a degraded answer, without those of proposers, which are shown there

    def add(self, event: RunEvent) -> str:
        """The text that `event` adds to the panel."""
        if isinstance(event, ReasonAdded) and event.degrades:
            self._reasons[event.reason] = None
        if not isinstance(event, AgentEvent):
            return ""
        place = (event.layer, event.agent)
        if isinstance(event, AgentStarted) and event.answers:
            self._answering.add(place)
        if place in self._answering:
            return ""
        if isinstance(event, AgentText):
            if not event.text:
                return ""
            if self._live is None:
                self._live, self._written = place, event.text
                return _headline(event) + event.text
            if self._live == place:
                self._written += event.text
                return event.text
            self._waiting[place] = self._waiting.get(place, _headline(event)) + event.text
        elif isinstance(event, AgentRetried):
            self._waiting.pop(place, None)
            if self._live == place:
                self._live = None
                return "\n\n*its replica was lost; it begins again*\n\n"
        elif isinstance(event, AgentFinished):
            return self._finish(event, place)
        return ""

    def reasons(self) -> str:
        """The reasons for which the answer is degraded, as far as they are known, once."""
        text = "".join(f"*{reason}*\n\n" for reason in self._reasons)
        self._reasons.clear()
        return text

    def _finish(self, event: AgentFinished, place: tuple[int, int]) -> str:
        trace = event.trace
        self._reasons.pop(event.reason, None)
        note = f"\n\n*{event.reason}*" if event.reason else ""
        if self._live == place:
            rest = ""  # of an answer of a second attempt: all of it
            if trace.status == "ok":
                began = trace.text.startswith(self._written)
                rest = trace.text.removeprefix(self._written) if began else "\n\n" + trace.text
            self._live = None
            return rest + note + "\n\n" + self._next()
        whole = _headline(event) + trace.text
        written = whole if trace.status == "ok" else self._waiting.get(place, whole)
        self._waiting[place] = written + note + "\n\n"
        self._ended.add(place)
        return self._next() if self._live is None else ""

    def _next(self) -> str:
        """All that ended while another agent was live, then what the next live agent has written."""
        text = "".join(self._waiting.pop(place) for place in [*self._waiting] if place in self._ended)
        self._ended.clear()
        if self._waiting:
            self._live = next(iter(self._waiting))
            begun = self._waiting.pop(self._live)
            self._written = begun.partition("\n\n")[2]
            text += begun
        return text


def _headline(event: AgentEvent) -> str:
    return f"**{event.model}** ({event.role}, layer {event.layer})\n\n"


def with_panel(stream: AsyncGenerator[Delta, None], *, events: bool) -> AsyncGenerator[Delta, None]:
    """`stream` with the proposals as reasoning before the answer; `events`: the events stay in it."""
    panel = _Panel()
    return with_reasoning(stream, panel.add, panel.reasons, events=events)


async def with_reasoning(
    stream: AsyncGenerator[Delta, None], add: Callable[[RunEvent], str], end: Callable[[], str], *, events: bool
) -> AsyncGenerator[Delta, None]:
    """`stream` with text of its events as reasoning.

    Args:
        stream: closed at the end.
        add: the text for an event.
        end: the text before the answer, asked once.
        events: the events stay in the stream.
    """
    begun = False
    async with aclosing(stream):
        async for delta in stream:
            if isinstance(delta, EventDelta):
                if text := "".join(map(add, delta.events)):
                    yield Delta(reasoning=text)
                if events:
                    yield delta
                continue
            if not begun and (text := end()):
                yield Delta(reasoning=text)
            begun = True
            yield delta

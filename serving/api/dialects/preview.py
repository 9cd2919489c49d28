"""Preview of a team's answer (`moa.preview`), for any dialect with reasoning: the first proposal, as it is written."""

from collections.abc import AsyncGenerator

from serving.api.dialects.live import with_reasoning
from serving.events import AgentEvent, AgentFinished, AgentRetried, AgentStarted, AgentText, RunEvent
from serving.types import Delta

ROLES = ("proposer", "solver", "first")  # of agents that answer the request itself
START, END = "*Preview by ", "*End of the preview.*\n\n"


class _Preview:
    """The proposal that begins first, as one text. If its agent fails, the one that began next follows."""

    def __init__(self) -> None:
        self._live: tuple[int, int] | None = None  # layer and agent
        self._written: dict[tuple[int, int], str] = {}  # text of each agent so far, in the order of their beginnings
        self._models: dict[tuple[int, int], str] = {}
        self._answering: set[tuple[int, int]] = set()  # agents that write the answer
        self._ended = False
        self.begun = False

    def add(self, event: RunEvent) -> str:
        """The text that `event` adds to the preview."""
        if self._ended or not isinstance(event, AgentEvent) or event.role not in ROLES:
            return ""
        place = (event.layer, event.agent)
        if isinstance(event, AgentStarted) and event.answers:
            self._answering.add(place)
        if place in self._answering:
            return ""
        self._models[place] = event.model
        if isinstance(event, AgentText) and event.text:
            self._written[place] = self._written.get(place, "") + event.text
            if self._live is None:
                return self._goes_on(place)
            return event.text if self._live == place else ""
        if isinstance(event, AgentRetried):
            return self._broken_off(place)
        if isinstance(event, AgentFinished):
            return self._finished(place, event)
        return ""

    def close(self) -> str:
        """The end of the preview, once, if it has begun."""
        open_ = self.begun and not self._ended
        self._ended = True
        return f"\n\n{END}" if open_ else ""

    def _goes_on(self, place: tuple[int, int]) -> str:
        self._live, self.begun = place, True
        return f"{START}{self._models[place]}*\n\n{self._written[place]}"

    def _broken_off(self, place: tuple[int, int]) -> str:
        """The next proposal, if that of `place` was the one that is shown."""
        self._written.pop(place, None)
        if self._live != place:
            return ""
        self._live = None
        following = next(iter(self._written), None)
        return "\n\n" + ("" if following is None else self._goes_on(following))

    def _finished(self, place: tuple[int, int], event: AgentFinished) -> str:
        if event.trace.status != "ok":
            return self._broken_off(place)
        if self._live not in (None, place) or not event.trace.text.strip():
            return ""
        known = self._written.get(place, "")
        self._written[place] = event.trace.text
        # The answer of a second attempt was not streamed, and may be another.
        if self._live is None:
            rest = self._goes_on(place)
        else:
            same = event.trace.text.startswith(known)
            rest = event.trace.text.removeprefix(known) if same else f"\n\n{self._goes_on(place)}"
        return rest + self.close()


def with_preview(stream: AsyncGenerator[Delta, None], *, events: bool) -> AsyncGenerator[Delta, None]:
    """`stream` with the first proposal as reasoning before the answer; `events`: the events stay in it."""
    preview = _Preview()
    return with_reasoning(stream, preview.add, preview.close, events=events)


def without_preview(reasoning: str | None) -> str | None:
    """Reasoning that a client sends back, without the preview before it: no model reads it. None: there is no other."""
    if reasoning is None or not reasoning.startswith(START):
        return reasoning
    return reasoning.rpartition(END)[2] or None if END in reasoning else None

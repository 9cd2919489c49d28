"""Events of one run on their way to its caller. A run that nobody watches has none of these objects."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from serving.events import (
    AgentEvent,
    AgentFinished,
    AgentFirstToken,
    AgentHedged,
    AgentRefilled,
    AgentRetried,
    AgentStarted,
    AgentText,
    EventDelta,
    LayerFinished,
    LayerStarted,
    ReasonAdded,
    RunEvent,
    RunStarted,
    VoteEnded,
)
from serving.runtime.reasons import outcome
from serving.telemetry import CallObserver
from serving.types import AgentTrace, Delta, EventDetail

MAX_WAITING = 256  # deltas and events that a slow reader may leave; the final agent then waits
# Tokens per piece of a proposal's text. Finer pieces cost messages, coarser ones look like jumps on a screen.
TEXT_INTERVAL = 4
PROGRESS_INTERVAL = 64  # without text only the first piece is of interest


class RunEvents:
    """Queue of a run's events and of its answer, in the order in which they happen."""

    def __init__(self, detail: EventDetail) -> None:
        """Start the clock; detail `text`: with the proposals' text while it is written."""
        self.with_text = detail == "text"
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._waiting: list[RunEvent | Delta] = []
        self._ended = False
        self._answering: set[tuple[int, int]] = set()  # layer and agent of those that write the answer
        self._news, self._room = asyncio.Event(), asyncio.Event()

    @property
    def now_s(self) -> float:
        """Seconds since the start of the run."""
        return self._loop.time() - self._began

    def run_started(self, recipe: str) -> None:
        """Report `RunStarted`."""
        self._put(RunStarted(self.now_s, recipe))

    def layer_started(self, layer: int, agents: int, needed: int) -> None:
        """Report `LayerStarted`."""
        self._put(LayerStarted(self.now_s, layer, agents, needed))

    def layer_finished(self, layer: int, usable: int, stragglers: tuple[int, ...]) -> None:
        """Report `LayerFinished`."""
        self._put(LayerFinished(self.now_s, layer, usable, stragglers))

    def vote_ended(self, layer: int, outcome: str, agreed: bool) -> None:
        """Report `VoteEnded`."""
        self._put(VoteEnded(self.now_s, layer, outcome, agreed))

    def reason_added(self, reason: str, degrades: bool) -> None:
        """Report `ReasonAdded`."""
        self._put(ReasonAdded(self.now_s, reason, degrades))

    def agent_finished(self, trace: AgentTrace, instead: str | None = None) -> None:
        """Report `AgentFinished`, and `AgentRefilled` if the model `instead` is asked for the same slot."""
        place = (trace.layer, trace.agent)
        if not self.with_text or place in self._answering:
            trace = replace(trace, text="", reasoning="")
        why = "" if trace.status == "ok" else outcome(trace)
        self._put(AgentFinished(self.now_s, *place, trace.model, trace.role, trace, why))
        if instead is not None:
            self._put(AgentRefilled(self.now_s, *place, instead, trace.role, trace.model))

    def agent_started(self, event: AgentStarted) -> None:
        """Report the start of an agent."""
        if event.answers:
            self._answering.add((event.layer, event.agent))
        self._put(event)

    def agent(self, event: AgentEvent) -> None:
        """Report an event of an agent. Pieces of one agent's text that nobody has read yet become one."""
        if isinstance(event, AgentText):
            for position in range(len(self._waiting) - 1, -1, -1):
                other = self._waiting[position]
                if not isinstance(other, AgentText):
                    break
                if (other.layer, other.agent) == (event.layer, event.agent):
                    both = replace(other, text=other.text + event.text, reasoning=other.reasoning + event.reasoning)
                    self._waiting[position] = both
                    return
        self._put(event)

    async def merged(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """`stream` with the events between its deltas; closing it closes `stream`. Raises what `stream` raises."""
        reading = asyncio.create_task(self._read(stream))
        try:
            while not self._ended or self._waiting:
                await self._news.wait()
                self._news.clear()
                items, self._waiting = self._waiting, []
                self._room.set()
                events: list[RunEvent] = []
                for item in items:
                    if isinstance(item, RunEvent):
                        events.append(item)
                        continue
                    if events:
                        yield EventDelta(events=tuple(events))
                        events = []
                    yield item
                if events:
                    yield EventDelta(events=tuple(events))
            await reading
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.exception()  # retrieved, or asyncio logs it as never retrieved
            await stream.aclose()  # cancelled before its first step, the task has not

    async def _read(self, stream: AsyncGenerator[Delta, None]) -> None:
        try:
            async with aclosing(stream):
                async for delta in stream:
                    self._put(delta)
                    while len(self._waiting) >= MAX_WAITING:
                        self._room.clear()
                        await self._room.wait()
        finally:
            self._ended = True
            self._news.set()

    def _put(self, item: RunEvent | Delta) -> None:
        self._waiting.append(item)
        self._news.set()


class WatchedCall(CallObserver):
    """Events of one call to the watcher of its run. Its choices fill `slots`."""

    def __init__(self, run: RunEvents, layer: int, slots: tuple[int, ...], model: str, role: str) -> None:
        """Report to `run`; nothing has happened yet."""
        self.run, self.slots, self._agent = run, slots, (model, role)
        self._layer = layer
        self._alive: set[int] = set()  # choices that have begun
        self.stream_interval = TEXT_INTERVAL if run.with_text else PROGRESS_INTERVAL

    def started(self, *, answers: bool = False) -> None:
        for slot in self.slots:
            self.run.agent_started(AgentStarted(self.run.now_s, self._layer, slot, *self._agent, answers))

    def retried(self) -> None:
        self._alive.clear()
        self._each(AgentRetried)

    def hedged(self) -> None:
        self._each(AgentHedged)

    def first_token(self, index: int = 0) -> None:
        self._alive.add(index)
        self.run.agent(AgentFirstToken(self.run.now_s, self._layer, self.slots[index], *self._agent))

    def wrote(self, delta: Delta) -> None:
        if not (delta.text or delta.reasoning or delta.tool_calls) or delta.index >= len(self.slots):
            return
        if delta.index not in self._alive:
            self.first_token(delta.index)
        if self.run.with_text and (delta.text or delta.reasoning):
            place = (self._layer, self.slots[delta.index])
            self.run.agent(AgentText(self.run.now_s, *place, *self._agent, delta.text, delta.reasoning))

    def _each(self, kind: type[AgentEvent]) -> None:
        for slot in self.slots:
            self.run.agent(kind(self.run.now_s, self._layer, slot, *self._agent))

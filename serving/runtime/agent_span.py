"""Span of one agent's call in a trace."""

from collections.abc import Sequence
from dataclasses import replace

from serving.trace_context import TraceContext
from serving.tracing.attributes import agent_attributes, agent_end
from serving.tracing.spans import Span, Tracer
from serving.types import AgentTrace, GenerateRequest


class AgentSpan:
    """A span that ends when the call's work has ended and its outcome is recorded, whichever is later.

    A call with several answers is several agents: each has a span, and the work below is in that of the first.
    """

    def __init__(
        self,
        tracer: Tracer,
        parent: TraceContext,
        recipe: str,
        layer: int,
        slots: tuple[int, ...],
        role: str,
        model: str,
    ) -> None:
        """Start nothing. `slots`: the agents' positions in the layer."""
        self._tracer, self._parent = tracer, parent
        self._recipe, self._layer, self._slots, self._role, self._model = recipe, layer, slots, role, model
        self._span: Span | None = None
        self._traces: Sequence[AgentTrace] | None = None
        self._working = False

    def begin(self, request: GenerateRequest) -> GenerateRequest:
        """Start the span; the call's request, whose work is below it."""
        self._span = self._start(self._slots[0], None)
        if self._span is None:
            return request
        self._working = True
        return replace(request, trace=self._span.context)

    def recorded(self, traces: Sequence[AgentTrace]) -> None:
        """The outcome is known: one trace for each slot."""
        self._traces = traces
        if not self._working:
            self.close(traces)

    def work_ended(self) -> None:
        """No engine works for the call any more."""
        self._working = False
        if self._traces is not None:
            self.close(self._traces)

    def close(self, traces: Sequence[AgentTrace]) -> None:
        """End the span now, with what is recorded or else `traces`. Does nothing if it has ended or never began."""
        span, self._span = self._span, None
        if span is None:
            return
        for trace in self._traces or traces:
            one = span if trace.agent == self._slots[0] else self._start(trace.agent, span.started_ns)
            if one is not None:
                attributes, error = agent_end(trace)
                one.set(attributes)
                one.end(error)

    def _start(self, slot: int, started_ns: int | None) -> Span | None:
        attributes = agent_attributes(self._recipe, self._layer, slot, self._role, self._model)
        return self._tracer.start(f"invoke_agent {self._role}", self._parent, attributes, started_ns=started_ns)

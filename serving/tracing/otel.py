"""Tracer over OpenTelemetry's API. Imported only where traces are exported."""

import time

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.propagation import set_span_in_context

from serving.trace_context import TraceContext
from serving.tracing.spans import Attributes, Span, SpanKind, Tracer

KINDS = {"internal": trace.SpanKind.INTERNAL, "client": trace.SpanKind.CLIENT}
SAMPLED, UNSAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)


class OtelSpan(Span):
    """An OpenTelemetry span that is recorded."""

    def __init__(self, span: trace.Span, *, ends: bool = True, started_ns: int | None = None) -> None:
        """Wrap `span`, which was started now or at `started_ns`. `ends`: False if somebody else ends it."""
        self._span, self._ends = span, ends
        self.started_ns = time.time_ns() if started_ns is None else started_ns
        self.context = context_of(span.get_span_context())

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def end(self, error: str | None = None) -> None:
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        if self._ends:
            self._span.end()


class OtelTracer(Tracer):
    """Starts spans of one OpenTelemetry tracer."""

    def __init__(
        self,
        tracer: trace.Tracer,
        *,
        adopts: bool = False,
        captures_texts: bool = False,
        parent_based: bool = False,
    ) -> None:
        """Use `tracer`.

        Args:
            tracer: of the provider that exports the spans.
            adopts: the HTTP server starts and ends a span for each request that is recorded, and makes it the current
                one: it is used as the request's, so that there are not two.
            captures_texts: put prompts and answers into spans.
            parent_based: the sampler records no request whose caller says so, and need not be asked.
        """
        self._tracer, self._adopts, self._parent_based = tracer, adopts, parent_based
        self.captures_texts = captures_texts

    def request(
        self, name: str, caller: TraceContext | None, attributes: Attributes
    ) -> tuple[TraceContext, Span | None]:
        if self._adopts:
            current = trace.get_current_span()
            if not current.is_recording():
                return TraceContext.unsampled(None if caller is None else caller.trace_id), None
            current.update_name(name)
            current.set_attributes(attributes)
            adopted = OtelSpan(current, ends=False)
            return adopted.context, adopted
        if self._parent_based and caller is not None and not caller.sampled:
            return TraceContext.unsampled(caller.trace_id), None
        above = Context() if caller is None else context_with(caller, remote=True)
        span = self._tracer.start_span(name, above, trace.SpanKind.SERVER, attributes)
        if span.is_recording():
            own = OtelSpan(span)
            return own.context, own
        return TraceContext.unsampled(None if caller is None else caller.trace_id), None

    def start(
        self,
        name: str,
        parent: TraceContext | None,
        attributes: Attributes,
        *,
        kind: SpanKind = "internal",
        started_ns: int | None = None,
    ) -> Span | None:
        if parent is None or not parent.sampled:
            return None
        started_ns = time.time_ns() if started_ns is None else started_ns
        span = self._tracer.start_span(name, context_with(parent), KINDS[kind], attributes, start_time=started_ns)
        return OtelSpan(span, started_ns=started_ns) if span.is_recording() else None


def context_with(parent: TraceContext, *, remote: bool = False) -> Context:
    """OpenTelemetry's context below `parent`. `remote`: that is a span of another process."""
    state = TraceState.from_header([parent.state]) if parent.state else None
    flags = SAMPLED if parent.sampled else UNSAMPLED
    known = SpanContext(parent.trace_id, parent.span_id, remote, flags, state)
    return set_span_in_context(NonRecordingSpan(known), Context())


def context_of(found: SpanContext) -> TraceContext:
    """Our value for OpenTelemetry's."""
    return TraceContext(found.trace_id, found.span_id, found.trace_flags.sampled, found.trace_state.to_header())

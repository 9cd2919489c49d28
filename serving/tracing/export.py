"""Export of spans by OTLP, in batches, in the background; spans of a collector that does not answer are dropped.

A library may add an exception to a span, with a message that quotes the request: such texts are left out.
"""

import os

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler, TraceIdRatioBased
from opentelemetry.trace import Status

from serving.tracing.otel import OtelTracer
from serving.tracing.settings import GRPC, SERVICE, TracingSettings, names_service

TEXTS = ("exception.message", "exception.stacktrace")  # attributes of an exception's event
TRACER = "moa"  # name of the instrumentation


class TextFreeProcessor(BatchSpanProcessor):
    """Sends spans in batches, without the texts of exceptions; their types stay."""

    def on_end(self, span: ReadableSpan) -> None:
        super().on_end(_without_texts(span) if span.events or span.status.description else span)


def _without_texts(span: ReadableSpan) -> ReadableSpan:
    """`span` without messages and tracebacks."""
    events = [
        Event(
            event.name,
            {name: value for name, value in (event.attributes or {}).items() if name not in TEXTS},
            event.timestamp,
        )
        for event in span.events
    ]
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        span.attributes,
        events,
        span.links,
        span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def span_processor(settings: TracingSettings) -> SpanProcessor:
    """Processor that sends spans; it reads headers, certificate, timeout and batch size from `OTEL_*`."""
    return TextFreeProcessor(_exporter(settings))


def exporting_tracer(settings: TracingSettings) -> tuple[OtelTracer, TracerProvider]:
    """A tracer that exports its spans, and its provider, whose `shutdown` sends the last of them."""
    own = {} if names_service(os.environ) else {"service.name": SERVICE}
    provider = TracerProvider(sampler=sampler_of(settings), resource=Resource.create(own))
    provider.add_span_processor(span_processor(settings))
    texts, parent_based = settings.captures_texts, settings.parent_based
    return OtelTracer(provider.get_tracer(TRACER), captures_texts=texts, parent_based=parent_based), provider


def sampler_of(settings: TracingSettings) -> Sampler:
    """OpenTelemetry's sampler of the settings."""
    return (ParentBasedTraceIdRatio if settings.parent_based else TraceIdRatioBased)(settings.ratio)


def _exporter(settings: TracingSettings) -> SpanExporter:
    if settings.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter(endpoint=settings.endpoint)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter(endpoint=settings.endpoint)

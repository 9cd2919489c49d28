"""Export of OpenTelemetry traces by OTLP. Ray Serve makes the spans; `OTEL_*` variables say where they go.

Every span of a replica names its deployment, and a request's spans have one trace id from the API to the models.
Serve adds each exception of a replica to its span, with a message that may quote the request: it is left out.
"""

import os
from collections.abc import Mapping

from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Status

from serving.errors import ConfigError

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")  # of traces; of all signals
TEXTS = ("exception.message", "exception.stacktrace")  # attributes of an exception's event
HTTP, GRPC = "http/protobuf", "grpc"


def span_processors() -> list[SpanProcessor]:
    """Processors of a process's spans: Ray Serve calls this by name (`RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH`).

    Spans are sent in the background, in batches; those of a collector that does not answer are dropped.

    Raises:
        ConfigError: `OTEL_EXPORTER_OTLP_PROTOCOL` names no protocol that is supported.
    """
    return [TextFreeProcessor(_exporter(os.environ))]


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


def _exporter(environment: Mapping[str, str]) -> SpanExporter:
    """Exporter of the protocol; it reads address, headers, certificate and timeout from `OTEL_EXPORTER_OTLP_*`."""
    name = next((name for name in PROTOCOLS if environment.get(name)), None)
    protocol = HTTP if name is None else environment[name]
    if protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter()
    if protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    raise ConfigError(f"{name} is '{protocol}'; set it to {HTTP} or {GRPC}.")

"""Export of OpenTelemetry traces by OTLP. Ray Serve makes the spans; `OTEL_*` variables say where they go.

Every span of a replica names its deployment, and a request's spans have one trace id from the API to the models.
"""

import os
from collections.abc import Mapping

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from serving.errors import ConfigError

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")  # of traces; of all signals
HTTP, GRPC = "http/protobuf", "grpc"


def span_processors() -> list[SpanProcessor]:
    """Processors of a process's spans: Ray Serve calls this by name (`RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH`).

    Spans are sent in the background, in batches; those of a collector that does not answer are dropped.

    Raises:
        ConfigError: `OTEL_EXPORTER_OTLP_PROTOCOL` names no protocol that is supported.
    """
    return [BatchSpanProcessor(_exporter(os.environ))]


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

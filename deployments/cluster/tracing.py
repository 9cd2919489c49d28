"""Spans of Ray Serve's processes: Serve starts them, and `OTEL_*` variables say where they go.

Every span of a replica names its deployment, and a request's spans have one trace id from the API to the models.
"""

import os

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from serving.tracing.export import TRACER, span_processor
from serving.tracing.otel import OtelTracer
from serving.tracing.settings import tracing_settings


def span_processors() -> list[SpanProcessor]:
    """Processors of a process's spans: Ray Serve calls this by name (`RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH`).

    Raises:
        ConfigError: an `OTEL_*` variable has a value that is not supported.
    """
    settings = tracing_settings(os.environ)
    return [] if settings is None else [span_processor(settings)]


def replica_tracer() -> OtelTracer | None:
    """Tracer of this replica, in which Serve has started a span for each request; `None` if Serve traces nothing."""
    settings = tracing_settings(os.environ)
    if settings is None or not isinstance(trace.get_tracer_provider(), TracerProvider):
        return None
    return OtelTracer(trace.get_tracer(TRACER), adopts=True, captures_texts=settings.captures_texts)

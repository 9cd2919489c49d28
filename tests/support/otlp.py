"""A receiver of OpenTelemetry traces: OTLP over HTTP on a free port, for tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """Keeps the spans that it gets."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.headers: set[str | None] = set()

    def receive(self, body: bytes, token: str | None) -> None:
        self.headers.add(token)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.services.add(named["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, prefix: str) -> list[Span]:
        """Spans whose names begin with `prefix`, by layer, slot and name."""
        found = [span for span in self.spans if span.name.startswith(prefix)]

        def place(span: Span) -> tuple[Any, ...]:
            known = attributes(span)
            return known.get("moa.layer", 0), known.get("moa.agent", 0), span.name, span.start_time_unix_nano

        return sorted(found, key=place)

    def of(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id.hex() == trace_id]

    def below(self, span: Span) -> list[Span]:
        """Its children."""
        return [one for one in self.spans if one.parent_span_id == span.span_id]

    def tree(self, root: Span) -> Any:
        """Names of a span and, sorted, of all below it."""
        return [root.name, *sorted(self.tree(one) for one in self.below(root))]


def attributes(span: Span) -> dict[str, Any]:
    return {a.key: _value(a.value) for a in span.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                collector.receive(body, self.headers.get("x-token"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        collector.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()

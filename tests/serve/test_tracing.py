"""OpenTelemetry traces of a running server: one trace per request, from the API to every model."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.server import served

TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """An OTLP collector over HTTP that keeps what it gets."""

    def __init__(self) -> None:
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
        """Spans whose names begin with `prefix`, by layer and name."""
        found = [span for span in self.spans if span.name.startswith(prefix)]
        return sorted(found, key=lambda span: (attributes(span).get("moa.layer", 0), span.name))

    def of(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id.hex() == trace_id]


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path == "/v1/traces":
                collector.receive(self.rfile.read(int(self.headers["content-length"])), self.headers.get("x-token"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def attributes(span: Span) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_request_is_one_trace_from_the_api_to_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as (collector, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/v1/traces")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-token=secret")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("RAY_SERVE_TRACING_SAMPLING_RATIO", "0")
        with served("tests.support.scripted_app:scripted_app") as server:
            body = {"model": "moa-lite", "messages": [{"role": "user", "content": "hello"}]}
            # Sampled by the caller, whose decision holds; the second one is sampled by nobody.
            sampled = {"traceparent": f"00-{TRACE_ID}-{CALLER}-01"}
            for headers in (sampled, {}):
                httpx.post(
                    f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60
                ).raise_for_status()
            wanted = {"ingress", "model:scripted-a", "model:scripted-b"}
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and len(collector.named("agent")) < 3:
                time.sleep(0.2)
    spans = collector.of(TRACE_ID)
    assert spans == collector.spans
    assert {attributes(span).get("deployment") for span in spans} >= wanted
    assert collector.services == {"moa"}
    assert collector.headers == {"secret"}

    (request,) = collector.named("replica_handle_request ingress")
    found = attributes(request)
    assert (found["gen_ai.request.model"], found["moa.kind"], found["moa.outcome"]) == ("moa-lite", "recipe", "ok")
    assert found["gen_ai.usage.output_tokens"] > 0
    agents = collector.named("agent")
    assert [(a["moa.layer"], a["moa.role"], a["gen_ai.request.model"]) for a in map(attributes, agents)] == [
        (1, "proposer", "scripted-a"),
        (1, "proposer", "scripted-b"),
        (2, "aggregator", "scripted-a"),
    ]
    assert {span.parent_span_id for span in agents} == {request.span_id}
    for span in agents:
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert attributes(span)["moa.recipe"] == "moa-lite"
    # What is asked and answered is in no span.
    assert not [span for span in spans if "hello" in str(span) or "words of" in str(span)]

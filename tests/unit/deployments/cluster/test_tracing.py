"""Exporters of traces, by OpenTelemetry's own variables."""

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode
from ray._common.utils import import_attr
from ray.serve._private.tracing_utils import _validate_tracing_exporter

from deployments.cluster.environment import DEFAULTS, TRACING, set_default_environment
from deployments.cluster.tracing import TextFreeProcessor, span_processors
from serving.errors import ConfigError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def exporter() -> object:
    (processor,) = span_processors()
    assert isinstance(processor, BatchSpanProcessor)
    try:
        return processor.span_exporter
    finally:
        processor.shutdown()


@pytest.fixture(autouse=True)
def _collector(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")


def test_traces_are_sent_over_http_by_default() -> None:
    found = exporter()
    assert isinstance(found, HttpExporter)
    assert found._endpoint == "http://127.0.0.1:4318/v1/traces"


def test_the_address_of_traces_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    found = exporter()
    assert isinstance(found, HttpExporter)
    assert found._endpoint == "http://127.0.0.1:9/v1/traces"


def test_grpc_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert isinstance(exporter(), GrpcExporter)


def test_the_protocol_of_traces_precedes_that_of_all_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    assert isinstance(exporter(), HttpExporter)


def test_an_unknown_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(
        ConfigError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'; set it to http/protobuf or grpc"
    ):
        span_processors()


def test_ray_serve_finds_the_exporter_by_its_name() -> None:
    found = import_attr(TRACING["RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"])
    _validate_tracing_exporter(found)
    assert found is span_processors


@pytest.mark.parametrize("name", [ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_requests_are_traced_if_there_is_a_collector(name: str) -> None:
    environment = {name: "http://127.0.0.1:4318", "OTEL_SERVICE_NAME": "mine"}
    set_default_environment(environment)
    assert environment == {**DEFAULTS, **TRACING, name: "http://127.0.0.1:4318", "OTEL_SERVICE_NAME": "mine"}


def test_without_a_collector_nothing_is_traced() -> None:
    environment = {ENDPOINT: ""}
    set_default_environment(environment)
    assert environment == {**DEFAULTS, ENDPOINT: ""}


def test_an_exception_is_exported_without_its_texts() -> None:
    """Serve records what a replica raises; its message may quote the request."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(TextFreeProcessor(memory))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("replica") as span:
        span.set_attribute("deployment", "m")
        try:
            raise ValueError("a secret")
        except ValueError as error:
            span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, "a secret"))
    provider.shutdown()
    found = {one.name: one for one in memory.get_finished_spans()}
    replica = found["replica"]
    assert "secret" not in replica.to_json()
    (event,) = replica.events
    assert event.attributes is not None
    assert (event.name, event.attributes["exception.type"]) == ("exception", "ValueError")
    assert replica.status.status_code is StatusCode.ERROR
    assert replica.attributes == {"deployment": "m"}
    assert replica.parent == outer.get_span_context() == found["outer"].context
    assert replica.start_time is not None
    assert replica.end_time is not None
    assert replica.instrumentation_scope == found["outer"].instrumentation_scope

"""Export of Ray Serve's spans, by OpenTelemetry's own variables."""

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode
from ray._common.utils import import_attr
from ray.serve._private.tracing_utils import _validate_tracing_exporter

from deployments.cluster.environment import DEFAULTS, TRACING, ray_tracing_settings, set_default_environment
from deployments.cluster.preflight import check_start
from deployments.cluster.tracing import span_processors
from deployments.config import AppArgs
from deployments.model.traced_options import traced_options
from serving.errors import ConfigError
from serving.tracing.export import TextFreeProcessor

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
URL = "http://127.0.0.1:4318"


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
    monkeypatch.setenv(ENDPOINT, URL)


def test_traces_are_sent_over_http_by_default() -> None:
    found = exporter()
    assert isinstance(found, HttpExporter)
    assert found._endpoint == f"{URL}/v1/traces"


def test_the_address_of_traces_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    found = exporter()
    assert isinstance(found, HttpExporter)
    assert found._endpoint == "http://127.0.0.1:9/v1/traces"


def test_grpc_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert isinstance(exporter(), GrpcExporter)


def test_ray_serve_finds_the_exporter_by_its_name() -> None:
    found = import_attr(TRACING["RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"])
    _validate_tracing_exporter(found)
    assert found is span_processors


@pytest.mark.parametrize(("name", "url"), [(ENDPOINT, URL), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{URL}/v1/traces")])
def test_requests_are_traced_if_there_is_a_collector(name: str, url: str) -> None:
    """Variables of all signals become those of traces: Ray would send its own metrics by them."""
    environment = {name: url, "OTEL_SERVICE_NAME": "mine", "OTEL_EXPORTER_OTLP_HEADERS": "x-token=secret"}
    set_default_environment(environment)
    assert environment == {
        **DEFAULTS,
        **TRACING,
        "OTEL_SERVICE_NAME": "mine",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "1",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{URL}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-token=secret",
    }
    again = dict(environment)
    set_default_environment(again)
    assert again == environment


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "moa"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=mine"}, None),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=mine"}, "moa"),
    ],
)
def test_the_operators_name_of_the_service_stays(environment: dict[str, str], name: str | None) -> None:
    given = {ENDPOINT: URL, **environment}
    set_default_environment(given)
    assert given.get("OTEL_SERVICE_NAME") == name


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio"),
    [
        ("parentbased_always_on", "", "1"),
        ("parentbased_always_off", "", "0"),
        ("parentbased_traceidratio", "0.05", "0.05"),
    ],
)
def test_ray_samples_as_the_sampler_says(sampler: str, argument: str, ratio: str) -> None:
    environment = {ENDPOINT: URL, "OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    set_default_environment(environment)
    assert environment["RAY_SERVE_TRACING_SAMPLING_RATIO"] == ratio


@pytest.mark.parametrize("environment", [{ENDPOINT: ""}, {"OTEL_SDK_DISABLED": "true"}])
def test_nothing_is_traced(environment: dict[str, str]) -> None:
    expected = {**DEFAULTS, **environment}
    set_default_environment(environment)
    assert environment == expected


def test_a_sampler_that_ray_does_not_have_is_refused_before_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {ENDPOINT: URL, "OTEL_TRACES_SAMPLER": "traceidratio"}
    set_default_environment(environment)
    assert environment == {**DEFAULTS, ENDPOINT: URL, "OTEL_TRACES_SAMPLER": "traceidratio"}, "not at import"
    with pytest.raises(ConfigError, match="Set OTEL_TRACES_SAMPLER to parentbased_traceidratio, not traceidratio"):
        ray_tracing_settings(environment)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    with pytest.raises(ConfigError, match="OTEL_TRACES_SAMPLER"):
        check_start(AppArgs(profile="tiny"), joins=True)


@pytest.mark.parametrize(
    ("engine_kwargs", "environment", "expected"),
    [
        ({}, {}, {}),
        ({}, {ENDPOINT: URL}, {"otlp_traces_endpoint": f"{URL}/v1/traces"}),
        ({"otlp_traces_endpoint": "http://own"}, {ENDPOINT: URL}, {}),
        ({"disable_log_stats": True}, {ENDPOINT: URL}, {}),
    ],
)
def test_vllm_sends_its_spans_to_the_same_collector(
    engine_kwargs: dict[str, object], environment: dict[str, str], expected: dict[str, object]
) -> None:
    assert traced_options(engine_kwargs, environment) == expected


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

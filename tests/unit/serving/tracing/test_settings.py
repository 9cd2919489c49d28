"""OpenTelemetry's own variables."""

import subprocess
import sys

import pytest

from serving.errors import ConfigError
from serving.tracing.settings import TracingSettings, tracing_settings

URL = "http://collector:4318"
ALL, OF_TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ALL: ""},
        {ALL: URL, "OTEL_SDK_DISABLED": "true"},
        {ALL: URL, "OTEL_TRACES_EXPORTER": "none"},
        {ALL: URL, "OTEL_TRACES_SAMPLER": "always_off"},
    ],
)
def test_nothing_is_traced(environment: dict[str, str]) -> None:
    assert tracing_settings(environment) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({ALL: URL}, TracingSettings(f"{URL}/v1/traces", "http/protobuf")),
        ({ALL: f"{URL}/"}, TracingSettings(f"{URL}/v1/traces", "http/protobuf")),
        ({OF_TRACES: f"{URL}/x", ALL: "http://other"}, TracingSettings(f"{URL}/x", "http/protobuf")),
        ({ALL: URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, TracingSettings(URL, "grpc")),
        (
            {
                ALL: URL,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            TracingSettings(f"{URL}/v1/traces", "http/protobuf"),
        ),
        (
            {ALL: URL, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"},
            TracingSettings(f"{URL}/v1/traces", "http/protobuf", 0.25),
        ),
        (
            {ALL: URL, "OTEL_TRACES_SAMPLER": "traceidratio"},
            TracingSettings(f"{URL}/v1/traces", "http/protobuf", 1.0, parent_based=False),
        ),
        (
            {ALL: URL, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"},
            TracingSettings(f"{URL}/v1/traces", "http/protobuf", captures_texts=True),
        ),
    ],
)
def test_settings(environment: dict[str, str], expected: TracingSettings) -> None:
    assert tracing_settings(environment) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "event_only"),
    ],
)
def test_values_that_are_not_supported_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        tracing_settings({ALL: URL, name: value})


@pytest.mark.parametrize("ratio", ["2", "-0.1", "half", "nan"])
def test_a_share_is_a_number_from_0_to_1(ratio: str) -> None:
    given = {ALL: URL, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    with pytest.raises(ConfigError, match=f"Set OTEL_TRACES_SAMPLER_ARG to a number from 0 to 1, not '{ratio}'"):
        tracing_settings(given)


def test_without_a_collector_opentelemetry_is_not_imported() -> None:
    code = "import serving.demo, sys; serving.demo.demo_tracer(); print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

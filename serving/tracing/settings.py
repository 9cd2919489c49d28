"""Settings of tracing: OpenTelemetry's own environment variables, checked before anything is started."""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.errors import ConfigError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")  # of traces; of all signals
HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP, GRPC = "http/protobuf", "grpc"
HTTP_PATH = "/v1/traces"  # of OTLP over HTTP, behind an endpoint of all signals
SAMPLER, SAMPLER_ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
RATIO = "traceidratio"
SAMPLERS = {"always_on": 1.0, "always_off": 0.0, RATIO: None}  # share of the traces that are recorded
PARENT_BASED = "parentbased_"  # a caller's decision holds for its request
TEXTS = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CAPTURES = {"true": True, "span_only": True, "false": False, "no_content": False}


SERVICE = "moa"  # `service.name` of all spans


def names_service(environment: Mapping[str, str]) -> bool:
    """True if the environment names the service, by either of OpenTelemetry's variables."""
    attributes = environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    named = any(attribute.partition("=")[0].strip() == "service.name" for attribute in attributes)
    return named or bool(environment.get("OTEL_SERVICE_NAME"))


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Address of the collector, and the share of the requests that are recorded."""

    endpoint: str  # URL of traces
    protocol: str  # HTTP or GRPC
    ratio: float = 1.0  # share of the requests whose callers decide nothing
    parent_based: bool = True  # a caller's decision holds
    captures_texts: bool = False


def tracing_settings(environment: Mapping[str, str]) -> TracingSettings | None:
    """Settings of the variables `OTEL_*`; `None` if nothing is traced.

    That is so without an endpoint, with `OTEL_SDK_DISABLED=true`, with `OTEL_TRACES_EXPORTER=none`, and with
    `OTEL_TRACES_SAMPLER=always_off`.

    Raises:
        ConfigError: a variable has a value that is not supported.
    """
    name = next((name for name in ENDPOINTS if environment.get(name, "").strip()), None)
    if name is None or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() or "otlp"
    if exporter == "none":
        return None
    if exporter != "otlp":
        raise ConfigError(f"Set OTEL_TRACES_EXPORTER to otlp or none, not '{exporter}'.")
    for variable in HEADERS:
        pairs = [pair for pair in environment.get(variable, "").split(",") if pair.strip()]
        if not all(pair.partition("=")[0].strip() and "=" in pair for pair in pairs):
            raise ConfigError(f"Set {variable} to pairs such as authorization=KEY, separated by commas.")
    protocol, endpoint = _protocol(environment), environment[name].strip()
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"Set {name} to a URL that begins with http:// or https://.")
    if protocol == HTTP and name != ENDPOINTS[0]:
        endpoint = endpoint.rstrip("/") + HTTP_PATH
    ratio, parent_based = _sampler(environment)
    if not ratio and not parent_based:
        return None
    texts = environment.get(TEXTS, "false").strip().lower() or "false"
    if texts not in CAPTURES:
        raise ConfigError(f"Set {TEXTS} to one of {', '.join(CAPTURES)}, not '{texts}'.")
    return TracingSettings(endpoint, protocol, ratio, parent_based, CAPTURES[texts])


def _protocol(environment: Mapping[str, str]) -> str:
    name = next((name for name in PROTOCOLS if environment.get(name)), None)
    protocol = HTTP if name is None else environment[name].strip()
    if protocol not in (HTTP, GRPC):
        raise ConfigError(f"{name} is '{protocol}'; set it to {HTTP} or {GRPC}.")
    return protocol


def _sampler(environment: Mapping[str, str]) -> tuple[float, bool]:
    """Share of the traces that are recorded, and whether a caller's decision holds."""
    given = environment.get(SAMPLER, "").strip().lower() or f"{PARENT_BASED}always_on"
    kind = given.removeprefix(PARENT_BASED)
    if kind not in SAMPLERS:
        names = [*SAMPLERS, *(PARENT_BASED + name for name in SAMPLERS)]
        raise ConfigError(f"Set {SAMPLER} to one of {', '.join(names)}, not '{given}'.")
    if (ratio := SAMPLERS[kind]) is None:
        text = environment.get(SAMPLER_ARG, "").strip() or "1"
        try:
            ratio = float(text)
        except ValueError:
            ratio = -1.0
        if not 0 <= ratio <= 1:
            raise ConfigError(f"Set {SAMPLER_ARG} to a number from 0 to 1, not '{text}'.")
    return ratio, given.startswith(PARENT_BASED)

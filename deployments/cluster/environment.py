"""Default environment variables, which Ray, Ray Serve and vLLM read once when they are imported or started.

Values set by the operator or a pod template take precedence.
"""

import os
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

from serving.errors import ConfigError
from serving.tracing.settings import PARENT_BASED, SAMPLER, SERVICE, TracingSettings, names_service, tracing_settings

DEFAULTS = {
    # HAProxy in front of the replicas and gRPC between them: the Python proxy costs more than a small model.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Minimum time for which the proxy drains before Serve stops. Ray's default of 30 s would delay Ctrl-C by as much.
    # Behind a load balancer, set it to the time that the balancer needs to notice.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    # Ray's HAProxy, supervised and with the corrections of deployments/cluster/haproxy.
    "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(__file__).with_name("haproxy.sh")),
    # When replicas come or go, a new HAProxy starts; the old one keeps its open streams for this long, then cuts them.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "600",
    # A client that reads nothing of its answer for so long is disconnected (Ray: 3600); waiting for it does not count.
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "120",
    # The hook imports ray.serve.llm, and with it vllm, into every process; only model replicas need them.
    "RAYLLM_ENABLE_WORKER_PROCESS_SETUP_HOOK": "0",
    # Ray's default is 15, for background work; an engine is none.
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "TOKENIZERS_PARALLELISM": "false",
}


TRACING = {"RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.cluster.tracing:span_processors"}
ALL_SIGNALS, OF_TRACES = "OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"
# Of the exporter. Ray reads those of all signals for the metrics that its own processes send each other: they would go
# with the collector's token and certificate.
EXPORTER = (
    "HEADERS",
    "CERTIFICATE",
    "CLIENT_KEY",
    "CLIENT_CERTIFICATE",
    "TIMEOUT",
    "COMPRESSION",
    "INSECURE",
    "ENDPOINT",
    "PROTOCOL",
)


def set_default_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set every variable of `DEFAULTS` that is not set, and if requests are traced those that Ray and vLLM read for it.

    Wrong variables of tracing are left as they are: `deployments.cluster.preflight` refuses them.
    """
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)
    with suppress(ConfigError):
        _set_tracing(environment)


def _set_tracing(environment: MutableMapping[str, str]) -> None:
    if (settings := ray_tracing_settings(environment)) is None:
        return
    for name in EXPORTER:
        given = environment.pop(ALL_SIGNALS + name, "")
        if given:
            environment.setdefault(OF_TRACES + name, given)
    own = {
        **TRACING,
        # It takes precedence over a `service.name` in OTEL_RESOURCE_ATTRIBUTES.
        **({} if names_service(environment) else {"OTEL_SERVICE_NAME": SERVICE}),
        "RAY_SERVE_TRACING_SAMPLING_RATIO": f"{settings.ratio:g}",
        OF_TRACES + "PROTOCOL": settings.protocol,
    }
    for name, value in own.items():
        environment.setdefault(name, value)
    environment[OF_TRACES + "ENDPOINT"] = settings.endpoint


def ray_tracing_settings(environment: Mapping[str, str]) -> TracingSettings | None:
    """Settings of tracing on Ray Serve; `None` if nothing is traced.

    Raises:
        ConfigError: a variable has a value that is not supported, here or by Ray Serve.
    """
    settings = tracing_settings(environment)
    if settings is not None and not settings.parent_based:
        name = environment[SAMPLER].strip().lower()
        raise ConfigError(
            f"Set {SAMPLER} to {PARENT_BASED}{name}, not {name}: on Ray Serve a caller's decision always holds."
        )
    return settings

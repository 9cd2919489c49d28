"""Default environment variables, which Ray, Ray Serve and vLLM read once when they are imported or started.

Values set by the operator or a pod template take precedence.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

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


# Addresses of a collector of OpenTelemetry traces: with one of them, requests are traced.
OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TRACING = {
    "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.cluster.tracing:span_processors",
    "OTEL_SERVICE_NAME": "moa",
}


def set_default_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set every variable of `DEFAULTS` that is not set, and with an address for traces those of `TRACING`."""
    traced = any(environment.get(name) for name in OTLP_ENDPOINTS)
    for name, value in {**DEFAULTS, **(TRACING if traced else {})}.items():
        environment.setdefault(name, value)

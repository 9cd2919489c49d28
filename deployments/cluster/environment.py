"""Environment variables that Ray, Ray Serve and vLLM read once, when they are first imported or started.

Only defaults: what the operator or a pod template sets stays as it is.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

DEFAULTS = {
    # HAProxy in front of the replicas and gRPC between them: the Python proxy costs more than a small model.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # The proxy drains for at least this long before Serve stops, 30 s by default: Ctrl-C would take as long.
    # Behind a load balancer set it to the time that the balancer needs to notice.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    # Ray's HAProxy with two corrections, which the file tells.
    "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(__file__).with_name("haproxy.sh")),
    # A new or lost replica starts a new HAProxy; the old one keeps its open streams for this long, then cuts them.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "600",
    # The hook imports ray.serve.llm, and vllm with it, into every process; only the models' own need it.
    "RAYLLM_ENABLE_WORKER_PROCESS_SETUP_HOOK": "0",
    # Ray runs its workers at the lowest priority but four; an engine is no background work.
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "TOKENIZERS_PARALLELISM": "false",
}


def complete_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set each of `DEFAULTS` that is not set."""
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)

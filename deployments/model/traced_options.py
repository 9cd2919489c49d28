"""vLLM's options for the spans that its engine adds to the traces of requests."""

from collections.abc import Mapping
from typing import Any

from serving.tracing.settings import tracing_settings


def traced_options(engine_kwargs: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Options to add to a model's `engine_kwargs`: the collector, unless nothing is traced or they say it themselves.

    vLLM computes its spans from the statistics of requests, which `disable_log_stats` switches off. Raises
    `ConfigError` for a variable of tracing that is not supported.
    """
    if "otlp_traces_endpoint" in engine_kwargs or engine_kwargs.get("disable_log_stats"):
        return {}
    settings = tracing_settings(environment)
    return {} if settings is None else {"otlp_traces_endpoint": settings.endpoint}

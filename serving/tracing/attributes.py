"""Attributes of spans, by OpenTelemetry's conventions for generative AI (`gen_ai.*`) where those have a name.

Source: https://github.com/open-telemetry/semantic-conventions-genai, v0.1.0. Others begin with `moa.`. Nothing here has
the text of a prompt or an answer.
"""

from typing import TypeAlias

from serving.pooling import EmbedRequest, RerankRequest
from serving.telemetry import StreamOutcome
from serving.tracing.spans import Attributes
from serving.types import AgentTrace, GenerateRequest, Report, Timing
from serving.usage import TokenUsage

Value: TypeAlias = str | bool | int | float | list[str] | None
QUIET_OUTCOMES = ("ok", "cancelled")  # of a stream; all others are codes of errors
FAILED = ("failed", "timeout")  # of an agent


def known(attributes: dict[str, Value]) -> dict[str, str | bool | int | float | list[str]]:
    """Those that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}


def workflow_attributes(recipe: str, request: GenerateRequest) -> Attributes:
    """Of a recipe's run at its start."""
    return {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.provider.name": "moa",
        "gen_ai.agent.name": recipe,
        "gen_ai.request.model": recipe,
        "gen_ai.request.stream": request.streaming,
        "moa.request_id": request.request_id,
    }


def workflow_end(outcome: StreamOutcome, report: Report | None) -> Attributes:
    """Of a recipe's run at its end; tokens are those of all agents."""
    return known(
        {
            **_end(outcome),
            **_usage(outcome.usage),
            "moa.degraded": outcome.degraded,
            "moa.recipe": None if report is None else report.recipe,
        }
    )


def agent_attributes(recipe: str, layer: int, slot: int, role: str, model: str) -> Attributes:
    """Of an agent at its start."""
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "moa",
        "gen_ai.agent.name": role,
        "gen_ai.request.model": model,
        "moa.recipe": recipe,
        "moa.layer": layer,
        "moa.agent": slot,
        "moa.role": role,
    }


def agent_end(trace: AgentTrace) -> tuple[Attributes, str | None]:
    """Of an agent at its end, and the code of the error by which it failed."""
    attributes = known(
        {
            "moa.outcome": trace.status,
            "moa.hedged": trace.hedged,
            "moa.attempts": trace.uncounted + 1,
            "moa.shortened_references": trace.shortened,
            **_usage(trace.usage),
            **_timing(trace.timing),
            "gen_ai.response.finish_reasons": None if trace.finish_reason is None else [trace.finish_reason],
        }
    )
    return attributes, (trace.cause or trace.status) if trace.status in FAILED else None


def call_attributes(model: str, provider: str, request: GenerateRequest) -> Attributes:
    """Of a model's call at its start."""
    sampling = request.sampling
    return known(
        {
            "gen_ai.operation.name": operation(request),
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.request.stream": request.streaming,
            "gen_ai.request.choice.count": None if sampling.n == 1 else sampling.n,
            "gen_ai.request.max_tokens": sampling.max_tokens,
            "gen_ai.request.temperature": sampling.temperature,
            "gen_ai.request.top_p": sampling.top_p,
            "gen_ai.request.top_k": sampling.top_k,
            "gen_ai.request.seed": sampling.seed,
            "moa.request_id": request.request_id,
            "moa.priority": request.priority,
        }
    )


def call_end(
    model: str, outcome: StreamOutcome, reasons: list[str], timing: Timing | None, shortened: int
) -> Attributes:
    """Of a model's call at its end. `reasons`: the finish reasons of its choices."""
    return known(
        {
            "gen_ai.response.model": model if outcome.code == "ok" else None,
            "gen_ai.response.finish_reasons": reasons or None,
            "moa.shortened_references": shortened,
            **_end(outcome),
            **_usage(outcome.usage),
            **_timing(timing or Timing()),
        }
    )


def pooling_attributes(operation: str, model: str, request: EmbedRequest | RerankRequest) -> Attributes:
    """Of a call of a model that embeds or ranks at its start."""
    return known(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "vllm",
            "gen_ai.request.model": model,
            "gen_ai.embeddings.dimension.count": request.dimensions if isinstance(request, EmbedRequest) else None,
            "moa.inputs": len(request.inputs if isinstance(request, EmbedRequest) else request.documents),
            "moa.request_id": request.request_id,
        }
    )


def pooling_end(outcome: StreamOutcome) -> Attributes:
    """Of such a call at its end."""
    tokens = None if outcome.usage is None else outcome.usage.prompt_tokens
    return known({"moa.outcome": outcome.code, "gen_ai.usage.input_tokens": tokens})


def error_of(outcome: StreamOutcome) -> str | None:
    """Code of the error by which a stream ended; `None` if it is complete, or was left by its reader."""
    return None if outcome.code in QUIET_OUTCOMES else outcome.code


def operation(request: GenerateRequest) -> str:
    """Name of a model's call in the conventions."""
    return "chat" if request.prompt is None else "text_completion"


def _end(outcome: StreamOutcome) -> dict[str, Value]:
    return {"moa.outcome": outcome.code, "gen_ai.response.time_to_first_chunk": outcome.ttft_s}


def _timing(timing: Timing) -> dict[str, Value]:
    """Seconds as the engine itself measured them."""
    return {"moa.queue_s": timing.queue_s, "moa.ttft_s": timing.ttft_s}


def _usage(usage: TokenUsage | None) -> dict[str, Value]:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }

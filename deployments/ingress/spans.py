"""Requests and agents in OpenTelemetry traces, beside the metrics. Spans contain no text of requests or answers."""

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.util.types import AttributeValue

from deployments.ingress.metrics import RayObserver
from serving.telemetry import RequestEnd
from serving.types import AgentTrace
from serving.usage import TokenUsage

NS = 1_000_000_000


class SpanObserver(RayObserver):
    """Metrics, and for a request that is traced the attributes of its span and a span for each agent.

    Names of attributes are those of OpenTelemetry's conventions for generative AI where it has one (`gen_ai.*`).
    Without tracing, and for requests that are not sampled, nothing is computed.
    """

    def request_ended(self, end: RequestEnd) -> None:
        super().request_ended(end)
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes(
                {
                    "gen_ai.request.model": end.model,
                    "moa.kind": end.kind,
                    "moa.outcome": end.outcome,
                    "moa.degraded": end.degraded,
                    **({} if end.ttft_s is None else {"moa.ttft_s": end.ttft_s}),
                    **_tokens(end.usage),
                }
            )

    def agent_ended(self, recipe: str, trace: AgentTrace) -> None:
        super().agent_ended(recipe, trace)
        _add_agent(recipe, trace)


def _add_agent(recipe: str, agent: AgentTrace) -> None:
    """Add the span of one agent's call below the request's, with the times that the orchestrator measured."""
    request = trace.get_current_span()
    if not request.is_recording() or not isinstance(request, ReadableSpan) or request.start_time is None:
        return
    elapsed_s = agent.elapsed_s if agent.elapsed_s is not None else agent.timing.total_s or 0.0
    start_ns = request.start_time + int(agent.started_s * NS)
    attributes: dict[str, AttributeValue] = {
        "gen_ai.request.model": agent.model,
        "moa.recipe": recipe,
        "moa.layer": agent.layer,
        "moa.role": agent.role,
        "moa.status": agent.status,
        **({} if agent.cause is None else {"moa.cause": agent.cause}),
        **({} if agent.timing.queue_s is None else {"moa.queue_s": agent.timing.queue_s}),
        **({} if agent.timing.ttft_s is None else {"moa.ttft_s": agent.timing.ttft_s}),
        **_tokens(agent.usage),
    }
    tracer = trace.get_tracer(__name__)
    span = tracer.start_span(
        f"agent {agent.layer} {agent.role} {agent.model}", start_time=start_ns, attributes=attributes
    )
    span.end(start_ns + int(elapsed_s * NS))


def _tokens(usage: TokenUsage | None) -> dict[str, AttributeValue]:
    """Known token counts."""
    if usage is None:
        return {}
    counts = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}

"""Spans of requests and agents."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from deployments.ingress import spans
from deployments.ingress.metrics import RayObserver
from deployments.ingress.spans import NS, SpanObserver
from serving.telemetry import RequestEnd
from serving.types import AgentTrace, Timing
from serving.usage import TokenUsage

END = RequestEnd("moa", "recipe", "ok", True, TokenUsage(11, 7), 0.5, 2.0)
AGENT = AgentTrace(
    layer=1,
    agent=0,
    role="proposer",
    model="a",
    status="ok",
    text="a secret",
    usage=TokenUsage(5, None),
    started_s=0.25,
    timing=Timing(queue_s=0.1, ttft_s=0.2, total_s=1.0),
    elapsed_s=1.5,
)


class Traced:
    """A provider of traces whose spans stay in memory."""

    def __init__(self, sampler: Sampler) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return span


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hooks of the metrics that were called; Ray's registry is left alone."""
    called: list[str] = []
    monkeypatch.setattr(RayObserver, "__init__", lambda self, prices=None: None)
    monkeypatch.setattr(RayObserver, "request_ended", lambda self, end: called.append("request_ended"))
    monkeypatch.setattr(RayObserver, "agent_ended", lambda self, recipe, agent: called.append("agent_ended"))
    return called


def run(monkeypatch: pytest.MonkeyPatch, sampler: Sampler, *agents: AgentTrace, end: RequestEnd = END) -> Traced:
    traced = Traced(sampler)
    monkeypatch.setattr(spans.trace, "get_tracer", traced.provider.get_tracer)
    observer = SpanObserver()
    with traced.tracer.start_as_current_span("request"):
        for agent in agents:
            observer.agent_ended("moa", agent)
        observer.request_ended(end)
    return traced


def test_the_requests_span_says_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, ALWAYS_ON).named("request").attributes == {
        "gen_ai.request.model": "moa",
        "moa.kind": "recipe",
        "moa.outcome": "ok",
        "moa.degraded": True,
        "moa.ttft_s": 0.5,
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
    }


def test_what_is_unknown_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = RequestEnd("a", "model", "engine_failed", False, None, None, 1.0)
    assert run(monkeypatch, ALWAYS_ON, end=failed).named("request").attributes == {
        "gen_ai.request.model": "a",
        "moa.kind": "model",
        "moa.outcome": "engine_failed",
        "moa.degraded": False,
    }


def test_an_agent_has_a_span_with_its_own_times(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = run(monkeypatch, ALWAYS_ON, AGENT)
    request, agent = traced.named("request"), traced.named("agent 1 proposer a")
    assert agent.parent == request.context
    assert agent.start_time == request.start_time + NS // 4
    assert agent.end_time - agent.start_time == 1.5 * NS
    assert agent.attributes == {
        "gen_ai.request.model": "a",
        "moa.recipe": "moa",
        "moa.layer": 1,
        "moa.role": "proposer",
        "moa.status": "ok",
        "moa.queue_s": 0.1,
        "moa.ttft_s": 0.2,
        "gen_ai.usage.input_tokens": 5,
    }


def test_requests_that_are_not_sampled_have_no_spans_but_metrics(
    monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    assert not run(monkeypatch, ALWAYS_OFF, AGENT).exporter.get_finished_spans()
    assert counted == ["agent_ended", "request_ended"]


def test_without_tracing_the_observer_only_counts(counted: list[str]) -> None:
    observer = SpanObserver()
    observer.agent_ended("moa", AGENT)
    observer.request_ended(END)
    assert counted == ["agent_ended", "request_ended"]
    assert trace.get_current_span() is trace.INVALID_SPAN

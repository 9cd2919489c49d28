"""A request's span that the HTTP server has started, as Ray Serve does."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.tracing.otel import OtelTracer
from tests.support.api import chat, client_of

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_the_servers_span_is_the_requests() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = OtelTracer(provider.get_tracer("test"), adopts=True)
    engine = ScriptedEngine("m")
    orchestrator = Orchestrator({"m": engine}, {}, tracer=tracer)
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(), tracer=tracer)
    async with client_of(app) as client:
        with provider.get_tracer("server").start_as_current_span("replica_handle_request") as current:
            answer = await client.post("/v1/chat/completions", json=chat("m"))
            assert current.is_recording(), "its end is the server's"
        alone = await client.post("/v1/chat/completions", json=chat("m"), headers={"traceparent": CALLER})
    found = {span.name: span for span in memory.get_finished_spans()}
    assert set(found) == {"POST /v1/chat/completions", "chat m"}, "a request that the server did not sample has none"
    request = found["POST /v1/chat/completions"]
    assert found["chat m"].parent.span_id == request.context.span_id
    assert answer.headers["traceparent"].split("-")[2] == f"{request.context.span_id:016x}"
    assert alone.headers["traceparent"].startswith(CALLER[:36])
    assert alone.headers["traceparent"].endswith("-00")
    assert engine.requests[1].trace.sampled is False

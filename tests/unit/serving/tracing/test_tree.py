"""Spans of requests through the API over scripted engines, as an OTLP collector receives them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from serving.api import ApiSettings, create_app
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.errors import EngineFailed, EngineUnavailable
from serving.orchestrator import Orchestrator
from serving.pooling import PoolingEngine
from serving.recipes import load_recipes
from serving.tracing.export import exporting_tracer
from serving.tracing.settings import tracing_settings
from serving.types import Delta, GenerateRequest
from tests.support.api import chat, client_of
from tests.support.otlp import Collector, attributes, collecting
from tests.support.waiting import until

TEAM = ("a", "b", "c")
TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE_ID}-{CALLER}-01", f"00-{TRACE_ID}-{CALLER}-00"
ERROR = SpanStatus.STATUS_CODE_ERROR


@dataclass
class Traced:
    """An API whose spans go to a collector."""

    app: Any
    collector: Collector
    flush: Callable[[], object]
    orchestrator: Orchestrator

    async def post(self, body: Mapping[str, Any], **headers: str) -> httpx.Response:
        async with client_of(self.app, **headers) as client:
            answer = await client.post("/v1/chat/completions", json=body)
        await asyncio.to_thread(self.flush)
        return answer

    def one(self, name: str) -> Span:
        (span,) = self.collector.named(name)
        return span


@contextmanager
def traced(
    engines: Mapping[str, Engine],
    *recipes: Any,
    pooling: Mapping[str, PoolingEngine] | None = None,
    **environment: str,
) -> Iterator[Traced]:
    with collecting() as collector:
        settings = tracing_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **environment})
        assert settings is not None
        tracer, provider = exporting_tracer(settings)
        loaded = load_recipes(recipes, {"proposers": TEAM, "aggregator": "a"})
        orchestrator = Orchestrator(engines, loaded, tracer=tracer, pooling=pooling)
        cards = orchestrator.cards()
        app = create_app(orchestrator.engines, cards, ApiSettings(), pooling=orchestrator.pooling, tracer=tracer)
        try:
            yield Traced(app, collector, provider.force_flush, orchestrator)
        finally:
            provider.shutdown()


def scripted(**options: Any) -> dict[str, Engine]:
    return {name: ScriptedEngine(name, f"words of {name}", **options) for name in TEAM}


def agent(role: str, *calls: str) -> list[Any]:
    return [f"invoke_agent {role}", *([call] for call in calls)]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_tree_of_a_moa_request(stream: bool) -> None:
    with traced(scripted(), "moa") as server:
        answer = await server.post(chat("moa", stream=stream), traceparent=SAMPLED)
        assert answer.status_code == 200
        root = server.one("POST")
        proposers = [agent("proposer", f"chat {name}") for name in TEAM]
        tree = [
            "POST /v1/chat/completions",
            ["invoke_workflow moa", agent("aggregator", "chat a"), *sorted(proposers * 2)],
        ]
        assert server.collector.tree(root) == tree
    spans = server.collector.spans
    assert server.collector.services == {"moa"}
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    assert root.parent_span_id.hex() == CALLER
    assert answer.headers["traceparent"] == f"00-{TRACE_ID}-{root.span_id.hex()}-01"
    parents = {span.span_id: span for span in spans}
    for span in spans:
        above = parents.get(span.parent_span_id, span)
        assert above.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= above.end_time_unix_nano
    assert not [span for span in spans if "Hello" in str(span) or "words of" in str(span)], "texts are not asked for"


async def test_attributes_follow_the_conventions() -> None:
    with traced(scripted(), "moa-lite") as server:
        await server.post(chat("moa-lite", stream=True, max_tokens=20), **{"x-request-id": "mine"})
    root = attributes(server.one("POST"))
    assert root == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "moa.request_id": "mine",
        "moa.key": "none",
    }
    workflow = attributes(server.one("invoke_workflow"))
    chats = [attributes(span) for span in server.collector.named("chat")]
    for field in ("input_tokens", "output_tokens"):
        assert workflow[f"gen_ai.usage.{field}"] == sum(one[f"gen_ai.usage.{field}"] for one in chats) > 0
    assert workflow["gen_ai.operation.name"] == "invoke_workflow"
    assert workflow["gen_ai.agent.name"] == "moa-lite"
    assert (workflow["moa.outcome"], workflow["moa.degraded"]) == ("ok", False)
    last = attributes(server.collector.named("invoke_agent aggregator")[0])
    assert (last["gen_ai.agent.name"], last["moa.layer"], last["moa.outcome"]) == ("aggregator", 2, "ok")
    assert (last["moa.hedged"], last["gen_ai.response.finish_reasons"]) == (False, ["stop"])
    for one in chats:
        assert one["gen_ai.operation.name"] == "chat"
        assert one["gen_ai.provider.name"] == "scripted"
        assert one["gen_ai.response.finish_reasons"] == ["stop"]
        assert one["gen_ai.usage.cache_read.input_tokens"] >= 0
        assert one["gen_ai.response.time_to_first_chunk"] >= 0
        assert one["moa.outcome"] == "ok"
    assert {span.kind for span in server.collector.named("chat")} == {Span.SPAN_KIND_CLIENT}
    assert server.one("POST").kind == Span.SPAN_KIND_SERVER


async def test_samples_of_one_agent_are_agents_with_one_call() -> None:
    engines = {"a": ScriptedEngine("a", "words")}
    recipe = {"id": "three", "strategy": "self_moa", "proposer": "a", "aggregator": "a", "samples": 3}
    with traced(engines, recipe) as server:
        assert (await server.post(chat("three", temperature=1))).status_code == 200
    proposers = server.collector.named("invoke_agent proposer")
    assert [attributes(span)["moa.agent"] for span in proposers] == [0, 1, 2]
    first, *others = proposers
    (call,) = server.collector.below(first)
    assert attributes(call)["gen_ai.request.choice.count"] == 3
    assert attributes(call)["gen_ai.response.finish_reasons"] == ["stop"] * 3
    for other in others:
        assert not server.collector.below(other)
        assert other.start_time_unix_nano == first.start_time_unix_nano


async def test_a_single_model_is_a_call_below_the_request() -> None:
    with traced(scripted()) as server:
        await server.post(chat("b"))
        assert server.collector.tree(server.one("POST")) == ["POST /v1/chat/completions", ["chat b"]]


async def test_a_failed_agent_and_its_second_attempt() -> None:
    engines = scripted()
    engines["b"] = ScriptedEngine("b", error=EngineUnavailable("b"))
    with traced(engines, "moa-lite") as server:
        answer = await server.post(chat("moa-lite"))
    assert answer.status_code == 200
    (failed,) = [span for span in server.collector.named("invoke_agent") if span.status.code == ERROR]
    found = attributes(failed)
    assert (found["moa.outcome"], found["error.type"], found["moa.attempts"]) == ("failed", "engine_unavailable", 2)
    calls = server.collector.below(failed)
    assert [attributes(span)["error.type"] for span in calls] == ["engine_unavailable"] * 2
    assert attributes(server.one("invoke_workflow"))["moa.degraded"] is True
    assert server.one("POST").status.code != ERROR


class SlowOnce(ScriptedEngine):
    """Its first answer never comes."""

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.hang = not self.requests
        return super().generate(request)


async def test_a_hedge_is_a_second_call_of_the_same_agent() -> None:
    engines = scripted()
    engines["b"] = SlowOnce("b", "words of b", replicas=2)
    recipe = {"preset": "moa-lite", "id": "hedging", "hedge": True}
    with traced(engines, recipe) as server:
        budget = server.orchestrator.runtime.budget
        budget.calls = 1000
        for _ in range(20):
            budget.record(("hedging", 1, "b"), 0.001)
        assert (await server.post(chat("hedging"))).status_code == 200
    (agent_b,) = [one for one in server.collector.named("invoke_agent") if attributes(one)["moa.hedged"]]
    assert (attributes(agent_b)["gen_ai.request.model"], attributes(agent_b)["moa.attempts"]) == ("b", 2)
    calls = server.collector.below(agent_b)
    assert sorted(attributes(one)["moa.outcome"] for one in calls) == ["cancelled", "ok"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_request_is_an_error_at_every_level(stream: bool) -> None:
    engines = {"a": ScriptedEngine("a", "one two", error=EngineFailed("a", "why"), fail_after=1)}
    with traced(engines) as server:
        await server.post(chat("a", stream=stream))
    assert [attributes(span)["error.type"] for span in server.collector.spans] == ["engine_failed"] * 2
    assert {span.status.code for span in server.collector.spans} == {ERROR}
    assert attributes(server.one("POST"))["http.response.status_code"] == (200 if stream else 502)


async def test_a_refused_request_is_no_error_of_the_server() -> None:
    with traced(scripted()) as server:
        answer = await server.post(chat("nobody"))
    assert answer.status_code == 404
    (span,) = server.collector.spans
    assert span.status.code != ERROR
    assert attributes(span)["http.response.status_code"] == 404


async def test_a_client_that_hangs_up_ends_every_span() -> None:
    waiting = ScriptedEngine("a", hang=True)
    with traced({"a": waiting}, {"id": "one", "strategy": "vote", "proposers": ["a", "a"]}) as server:
        gone = asyncio.Event()
        body = [{"type": "http.request", "body": json.dumps(chat("one", temperature=1)).encode()}]

        async def receive() -> Any:
            if body:
                return body.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        path = "/v1/chat/completions"
        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        asked = asyncio.create_task(server.app(scope, receive, send))
        await until(lambda: waiting.running)
        gone.set()
        await asked
        await asyncio.to_thread(server.flush)
    outcomes = {span.name: attributes(span).get("moa.outcome") for span in server.collector.spans}
    assert outcomes == {
        "POST /v1/chat/completions": None,
        "invoke_workflow one": "cancelled",
        "invoke_agent proposer": "cancelled",
        "chat a": "cancelled",
    }
    assert "http.response.status_code" not in attributes(server.one("POST"))
    assert not [span for span in server.collector.spans if span.status.code == ERROR]


async def test_a_straggler_and_a_deadline_have_their_outcomes() -> None:
    engines = scripted()
    engines["c"] = ScriptedEngine("c", hang=True)
    recipe = {"preset": "moa-lite", "id": "late", "layers": [["a", "b", {"model": "c", "deadline_s": 0.02}]]}
    straggling = {"preset": "moa-lite", "id": "graced", "min_proposals": 2, "straggler_grace_s": 0.01}
    with traced(engines, recipe, straggling) as server:
        await server.post(chat("late"))
        await server.post(chat("graced"))
    found = [attributes(span) for span in server.collector.named("invoke_agent") if "c" in str(span)]
    late, straggler = [one for one in found if one["gen_ai.request.model"] == "c"]
    if late["moa.recipe"] != "late":
        late, straggler = straggler, late
    assert (late["moa.outcome"], late["error.type"]) == ("timeout", "deadline_exceeded")
    assert (straggler["moa.outcome"], straggler.get("error.type")) == ("straggler", None)
    calls = [attributes(span) for span in server.collector.named("chat c")]
    assert [one["moa.outcome"] for one in calls] == ["cancelled"] * 2


@pytest.mark.parametrize(
    ("sampler", "caller", "recorded"),
    [
        ("parentbased_always_on", None, True),
        ("parentbased_always_on", UNSAMPLED, False),
        ("parentbased_always_off", None, False),
        ("parentbased_always_off", SAMPLED, True),
        ("always_on", UNSAMPLED, True),
    ],
)
async def test_samplers(sampler: str, caller: str | None, recorded: bool) -> None:
    engines = scripted()
    with traced(engines, OTEL_TRACES_SAMPLER=sampler) as server:
        answer = await server.post(chat("a"), **({} if caller is None else {"traceparent": caller}))
    assert bool(server.collector.spans) is recorded
    assert answer.headers["traceparent"].endswith("-01" if recorded else "-00")
    (asked,) = engines["a"].requests
    assert asked.trace.sampled is recorded
    if caller is not None:
        assert asked.trace.trace == TRACE_ID


async def test_texts_are_recorded_if_the_operator_says_so() -> None:
    with traced(scripted(), "moa-lite", OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true") as server:
        await server.post(chat("moa-lite"))
    last = server.collector.below(server.one("invoke_agent aggregator"))[0]
    found = attributes(last)
    (answer,) = json.loads(found["gen_ai.output.messages"])
    assert answer == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "words of a"}],
        "finish_reason": "stop",
    }
    asked = json.loads(found["gen_ai.input.messages"])
    assert asked[-1]["role"] == "user"
    assert "words of b" in str(asked), "with the references that it read"


@pytest.mark.parametrize("fails", [False, True])
async def test_embeddings_are_a_call_below_the_request(fails: bool) -> None:
    engine = ScriptedPoolingEngine("e", "embed", error=EngineFailed("e", "why") if fails else None)
    with traced({"a": ScriptedEngine("a")}, pooling={"e": engine}) as server:
        async with client_of(server.app) as client:
            await client.post("/v1/embeddings", json={"model": "e", "input": ["a secret", "other"]})
        await asyncio.to_thread(server.flush)
    root = server.one("POST /v1/embeddings")
    assert server.collector.tree(root) == ["POST /v1/embeddings", ["embeddings e"]]
    found = attributes(server.one("embeddings"))
    assert (found["gen_ai.operation.name"], found["moa.inputs"]) == ("embeddings", 2)
    assert found.get("error.type") == ("engine_failed" if fails else None)
    assert ("gen_ai.usage.input_tokens" in found) is not fails
    assert "secret" not in str(server.collector.spans)


async def test_probes_and_pages_have_no_spans() -> None:
    with traced(scripted()) as server:
        async with client_of(server.app) as client:
            assert "traceparent" not in (await client.get("/health")).headers
        await asyncio.to_thread(server.flush)
    assert not server.collector.spans

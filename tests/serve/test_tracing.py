"""OpenTelemetry traces of a running server: one trace per request, from the API to every model."""

import time

import httpx
import pytest

from tests.support.otlp import attributes, collecting
from tests.support.server import served

TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_request_is_one_trace_from_the_api_to_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        with served("tests.support.scripted_app:scripted_app") as server:
            body = {"model": "moa-lite", "messages": [{"role": "user", "content": "hello"}]}
            # Sampled by the caller, whose decision holds; the second one is sampled by nobody.
            sampled = {"traceparent": f"00-{TRACE_ID}-{CALLER}-01"}
            answers = [
                httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
                for headers in (sampled, {})
            ]
            assert [answer.status_code for answer in answers] == [200, 200]
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and not (
                collector.named("POST") and len(collector.named("replica_handle_request model")) >= 3
            ):
                time.sleep(0.2)
    assert collector.of(TRACE_ID) == collector.spans
    assert collector.services == {"moa"}
    assert collector.headers == {"secret"}

    (request,) = collector.named("POST /v1/chat/completions")
    # Serve's own proxy, which passes requests on until HAProxy knows the replica, has spans between the two.
    parents = {span.span_id: span for span in collector.spans}
    above = request.parent_span_id
    while above in parents:
        assert parents[above].name.startswith(("proxy_", "route_to_replica ingress")), parents[above].name
        above = parents[above].parent_span_id
    assert above.hex() == CALLER
    assert attributes(request)["deployment"] == "ingress", "it is the span that Serve started"
    assert attributes(request)["http.response.status_code"] == 200
    assert answers[0].headers["traceparent"] == f"00-{TRACE_ID}-{request.span_id.hex()}-01"
    assert answers[1].headers["traceparent"].endswith("-00")

    (workflow,) = collector.named("invoke_workflow moa-lite")
    assert workflow.parent_span_id == request.span_id
    agents = collector.named("invoke_agent")
    assert [(a["moa.layer"], a["moa.role"], a["gen_ai.request.model"]) for a in map(attributes, agents)] == [
        (1, "proposer", "scripted-a"),
        (1, "proposer", "scripted-b"),
        (2, "aggregator", "scripted-a"),
    ]
    for agent in agents:
        assert agent.parent_span_id == workflow.span_id
        (call,) = collector.below(agent)
        model = attributes(agent)["gen_ai.request.model"]
        assert (call.name, attributes(call)["gen_ai.provider.name"]) == (f"chat {model}", "vllm")
        # Serve's own spans: the choice of a replica, and its work.
        (way,) = collector.below(call)
        assert way.name == f"route_to_replica model:{model} generate"
        (replica,) = collector.below(way)
        assert replica.name == f"replica_handle_request model:{model} generate"
    # What is asked and answered is in no span.
    assert not [span for span in collector.spans if "hello" in str(span) or "words of" in str(span)]

"""Traces of requests to the trio: vLLM's own spans are below ours."""

import time

import openai
import pytest

from tests.e2e.conftest import MODELS
from tests.support.otlp import Collector, attributes
from tests.support.server import Server

TRACE_ID, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_spans_of_vllm_are_below_the_calls(server: Server, client: openai.OpenAI, collector: Collector) -> None:
    if server.pid is None:
        pytest.skip("needs a server that was started with the collector's address")
    answer = client.chat.completions.create(
        model="moa-lite",
        messages=[{"role": "user", "content": "What is 17 + 25?"}],
        max_tokens=16,
        extra_headers={"traceparent": f"00-{TRACE_ID}-{CALLER}-01"},
    )
    assert answer.choices[0].message.content

    def engine_spans() -> list[str]:
        return [span.name for span in collector.of(TRACE_ID) if span.name == "llm_request"]

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (len(engine_spans()) >= 4 and collector.named("POST")):
        time.sleep(0.2)
    (workflow,) = collector.named("invoke_workflow moa-lite")
    agents = collector.below(workflow)
    calls = [call for agent in agents if agent.name.startswith("invoke_agent") for call in collector.below(agent)]
    assert sorted(attributes(call)["gen_ai.request.model"] for call in calls) == sorted([*MODELS, "tiny-qwen"])
    for call in calls:
        (engine,) = [span for span in collector.below(call) if span.name == "llm_request"]
        ours, theirs = attributes(call), attributes(engine)
        assert theirs["gen_ai.usage.prompt_tokens"] == ours["gen_ai.usage.input_tokens"]
        assert theirs["gen_ai.usage.completion_tokens"] == ours["gen_ai.usage.output_tokens"]
        assert "gen_ai.usage.cache_read.input_tokens" in ours
    untraced = [span for span in collector.spans if span.name == "llm_request" and span.trace_id.hex() != TRACE_ID]
    assert not untraced, "health checks and the start have no traces"

"""Usage and metrics through Ray Serve: counts that cross the handles, and those that Ray's agents collect."""

import time

import httpx
import openai

from deployments.ingress.cluster_metrics import PREFIXES
from tests.support.server import Server

EXPORT_S = 60  # Ray's agents collect every few seconds
ASKED = [{"role": "user", "content": "hello"}]


def test_usage_so_far_crosses_the_handles(client: openai.OpenAI) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    role, *pieces, last = client.chat.completions.create(
        model="scripted-a",
        messages=ASKED,  # type: ignore[arg-type]
        stream=True,
        stream_options=options,  # type: ignore[arg-type]
    )
    assert role.usage is None
    counts = [chunk.usage.completion_tokens for chunk in pieces if chunk.usage is not None]
    assert len(counts) == len(pieces)
    assert counts == sorted(counts)
    assert last.usage is not None
    assert counts[-1] == last.usage.completion_tokens == 3
    assert {chunk.usage.prompt_tokens for chunk in pieces if chunk.usage is not None} == {last.usage.prompt_tokens}


def test_an_alias_is_answered_by_the_team_and_counts_one_call_and_all(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=ASKED)  # type: ignore[arg-type]
    assert answer.model == "gpt-4o"
    assert answer.usage is not None
    team = answer.moa["usage"]  # type: ignore[attr-defined]
    assert (answer.usage.completion_tokens, team["completion_tokens"]) == (3, 9)


def test_metrics_are_on_the_api_s_port(server: Server, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="moa-lite", messages=ASKED)  # type: ignore[arg-type]
    wanted = ("ray_moa_requests_total{", "ray_moa_agent_tokens_total{", "ray_serve_")
    ends_at = time.monotonic() + EXPORT_S
    while True:
        page = httpx.get(f"{server.url}/metrics", timeout=30)
        assert page.status_code == 200
        if all(name in page.text for name in wanted) or time.monotonic() > ends_at:
            break
        time.sleep(1)
    assert all(name in page.text for name in wanted)
    series = [line for line in page.text.splitlines() if not line.startswith("#")]
    assert all(line.startswith(PREFIXES) for line in series)
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert httpx.head(f"{server.url}/metrics", timeout=30).status_code == 200

"""Events and proposals in answers of the API, over a whole orchestrator with scripted engines."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import openai
import pytest

from serving.api import ApiSettings, create_app
from serving.api.dialects.live import with_panel
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed
from serving.events import AgentFinished, AgentRetried, AgentText, EventDelta
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import AgentTrace, Delta
from tests.support.api import ask, chunks, client_of, running, status_and_code, texts
from tests.support.waiting import until

TEAM: dict[str, str | list[str]] = {"proposers": ["a", "b", "c"], "aggregator": "a"}


@pytest.fixture
def engines() -> dict[str, ScriptedEngine]:
    def answer(name: str) -> ScriptedEngine:
        return ScriptedEngine(
            name, lambda request: f"{name} as {'final' if '-2-' in request.request_id else 'adviser'}"
        )

    return {name: answer(name) for name in "abc"}


def app_over(engines: dict[str, ScriptedEngine]) -> Any:
    orchestrator = Orchestrator(engines, load_recipes(["moa-lite"], TEAM))
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())


def events(response: httpx.Response) -> list[dict[str, Any]]:
    found = [chunk["moa"].get("events", []) for chunk in chunks(response) if chunk != "[DONE]" and "moa" in chunk]
    return [event for some in found for event in some]


def reasoning(response: httpx.Response) -> str:
    pieces = [chunk["choices"] for chunk in chunks(response) if chunk != "[DONE]"]
    return "".join(choice["delta"].get("reasoning_content", "") for choices in pieces for choice in choices)


async def test_a_recorded_stream_with_a_failed_agent_and_a_straggler(engines: dict[str, ScriptedEngine]):
    engines["b"].error = EngineFailed("b", "out of memory")
    engines["c"].hang = True
    options = {"events": "text", "straggler_grace_s": 0, "trace": True}
    response = await ask(app_over(engines), model="moa-lite", stream=True, moa=options)
    told = events(response)
    seen = [(event["event"], event.get("layer"), event.get("agent"), event.get("outcome")) for event in told]
    assert seen[:5] == [
        ("run_started", None, None, None),
        ("layer_started", 1, None, None),
        ("agent_started", 1, 0, None),
        ("agent_started", 1, 1, None),
        ("agent_started", 1, 2, None),
    ]
    assert ("agent_finished", 1, 0, "ok") in seen
    assert ("agent_finished", 1, 1, "failed") in seen
    assert ("agent_finished", 1, 2, "straggler") in seen
    assert [(event["usable"], event["stragglers"]) for event in told if event["event"] == "layer_finished"] == [
        (1, [2])
    ]
    assert seen[-1] == ("agent_finished", 2, 0, "ok")
    assert texts(response) == "a as final"
    last = chunks(response)[-2]["moa"]
    assert [event["reason"] for event in told if event["event"] == "reason_added"] == last["reasons"]
    assert all(event["at_ms"] >= 0 for event in told)


async def test_chunks_of_events_are_chunks_that_clients_skip(engines: dict[str, ScriptedEngine]):
    async with running(app_over(engines)) as url, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model="moa-lite",
            messages=[{"role": "user", "content": "Hello"}],
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"moa": {"events": "text"}},
        )
        told = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told if chunk.choices) == "a as final"
    assert told[-1].usage.completion_tokens > 0
    assert any("events" in (chunk.model_extra or {}).get("moa", {}) for chunk in told)


async def test_without_events_there_are_none(engines: dict[str, ScriptedEngine]):
    for options in ({}, {"events": False}, {"events": None}, {"show": "answer"}, {"show": None}):
        response = await ask(app_over(engines), model="moa-lite", stream=True, moa=options)
        assert events(response) == []
        assert reasoning(response) == ""
    assert engines["b"].requests[-1].stream_interval is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"moa": {"events": True}}, "moa.events"),
        ({"stream": True, "moa": {"events": "all"}}, "moa.events"),
        ({"stream": True, "moa": {"events": 1}}, "moa.events"),
        ({"stream": True, "moa": {"events": ["text"]}}, "moa.events"),
        ({"stream": True, "moa": {"show": True}}, "moa.show"),
        ({"moa": {"show": "reasoning"}, "include_reasoning": False}, "moa.show"),
        ({"model": "a", "stream": True, "moa": {"events": True}}, "moa.events"),
        ({"model": "a", "moa": {"show": "reasoning"}}, "moa.show"),
    ],
)
async def test_wrong_options_are_refused_by_name(engines: dict[str, ScriptedEngine], fields: Any, param: str):
    response = await ask(app_over(engines), **{"model": "moa-lite", **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_a_wrong_override_has_its_own_status_although_events_are_asked_for(engines: dict[str, ScriptedEngine]):
    response = await ask(app_over(engines), model="moa-lite", stream=True, moa={"events": True, "layers": 99})
    assert status_and_code(response)[0] == 400


async def test_proposals_are_shown_as_reasoning_before_the_answer(engines: dict[str, ScriptedEngine]):
    response = await ask(app_over(engines), model="moa-lite", stream=True, moa={"show": "reasoning"})
    panel = reasoning(response)
    for name in "abc":
        assert f"**{name}** (proposer, layer 1)\n\n{name} as adviser\n\n" in panel
    assert "final" not in panel
    assert texts(response) == "a as final"
    kinds = [
        "text" if choice["delta"].get("content") else "reasoning"
        for chunk in chunks(response)
        if chunk != "[DONE]"
        for choice in chunk["choices"]
        if choice["delta"].get("content") or choice["delta"].get("reasoning")
    ]
    assert kinds == sorted(kinds)
    assert events(response) == []


async def test_a_whole_answer_has_the_proposals_in_its_reasoning(engines: dict[str, ScriptedEngine]):
    engines["b"].error = EngineFailed("b", "out of memory")
    engines["a"].thinking, engines["a"].answer = True, ScriptedAnswer("the answer", reasoning="own thought")
    answer = (await ask(app_over(engines), model="moa-lite", moa={"show": "reasoning"})).json()
    message = answer["choices"][0]["message"]
    assert message["content"] == "the answer"
    assert "**b** (proposer, layer 1)" in message["reasoning_content"]
    assert "*'b' (proposer, layer 1) failed.*" in message["reasoning_content"]
    assert message["reasoning_content"].endswith("own thought")
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


async def test_the_panel_says_who_was_cut_off(engines: dict[str, ScriptedEngine]):
    engines["b"].hang = True
    options = {"show": "reasoning", "events": True, "straggler_grace_s": 0}
    response = await ask(app_over(engines), model="moa-lite", stream=True, moa=options)
    assert "*'b' (proposer, layer 1) was slower than the others, which did not wait for it.*" in reasoning(response)
    told = events(response)
    assert any(event["event"] == "agent_finished" for event in told)
    assert not any("text" in event for event in told)  # `events: true` asks for none


async def test_the_panel_says_before_the_answer_why_it_is_degraded(engines: dict[str, ScriptedEngine]):
    engines["a"].error = EngineFailed("a", "secret")
    answer = (await ask(app_over(engines), model="moa-lite", moa={"show": "reasoning"})).json()
    shown = answer["choices"][0]["message"]["reasoning_content"]
    assert "*'a' (aggregator, layer 2) failed.*" in shown
    assert shown.count("'a' (proposer, layer 1) failed.") == 1
    assert "secret" not in shown
    assert "secret" not in str(answer["moa"]["reasons"])
    assert answer["moa"]["degraded"]


async def test_a_client_that_leaves_ends_a_watched_request(engines: dict[str, ScriptedEngine]):
    for engine in engines.values():
        engine.hang = True
    body = {"model": "moa-lite", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    async with running(app_over(engines)) as url, httpx.AsyncClient(base_url=url) as client:
        asking = client.stream("POST", "/v1/chat/completions", json={**body, "moa": {"events": True}})
        async with asking as response:
            async for line in response.aiter_lines():
                if line.startswith("data: ") and "agent_started" in json.dumps(line):
                    break
        await until(lambda: not any(engine.running for engine in engines.values()))
    assert [engine.cancelled for engine in engines.values()] == [1, 1, 1]


async def test_hidden_reasoning_is_not_in_events_either(engines: dict[str, ScriptedEngine]):
    engines["b"].answer = ScriptedAnswer("b as adviser", reasoning="secret thought")
    async with client_of(app_over(engines)) as client:
        body = {"model": "moa-lite", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        plain = {**body, "moa": {"events": "text"}}
        assert "thought" in (await client.post("/v1/chat/completions", json=plain)).text
        hidden = await client.post("/v1/chat/completions", json={**plain, "include_reasoning": False})
    assert "thought" not in hidden.text


def event_of(kind: type[Any], agent: int, **fields: Any) -> Any:
    return kind(0.0, 1, agent, "abc"[agent], "proposer", **fields)


def finished(agent: int, text: str, status: Any = "ok", error: str | None = None) -> AgentFinished:
    trace = AgentTrace(1, agent, "proposer", "abc"[agent], status, text, error=error)
    return event_of(AgentFinished, agent, trace=trace, reason=f"it {status}" if error else "")


def wrote(agent: int, text: str) -> AgentText:
    return event_of(AgentText, agent, text=text, reasoning="")


async def shown(*told: Any) -> str:
    async def stream() -> AsyncGenerator[Delta, None]:
        for event in told:
            yield EventDelta(events=(event,))

    return "".join([delta.reasoning async for delta in with_panel(stream(), events=False)])


async def test_one_proposal_is_written_live_and_the_others_follow():
    text = await shown(wrote(0, "one "), wrote(1, "two "), wrote(0, "more"), wrote(1, "more"), finished(1, "two more"))
    assert text == "**a** (proposer, layer 1)\n\none more"
    rest = (finished(0, "one"), wrote(2, "three "), finished(2, "three"))
    text = await shown(wrote(0, "one"), wrote(1, "two"), wrote(2, "th"), finished(1, "two"), *rest)
    heads = [f"**{name}** (proposer, layer 1)\n\n" for name in "abc"]
    assert text == f"{heads[0]}one\n\n{heads[1]}two\n\n{heads[2]}ththree \n\nthree\n\n"


async def test_the_panel_begins_again_after_a_lost_replica():
    again = event_of(AgentRetried, 0)
    text = await shown(wrote(0, "lost"), again, wrote(0, "found"), finished(0, "found"))
    head = "**a** (proposer, layer 1)\n\n"
    assert text == f"{head}lost\n\n*its replica was lost; it begins again*\n\n{head}found\n\n"


async def test_the_answer_of_a_second_attempt_is_shown_whole():
    assert (await shown(wrote(0, "slow"), finished(0, "fast answer"))).endswith("slow\n\nfast answer\n\n")
    assert (await shown(finished(1, "", "failed", "gone"))).endswith("\n\n\n\n*it failed*\n\n")

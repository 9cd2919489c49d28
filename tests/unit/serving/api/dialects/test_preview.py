"""Previews of a team's answer in every dialect, over a whole orchestrator with scripted engines."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from serving.api import ApiSettings, create_app
from serving.api.dialects.preview import END, START, with_preview, without_preview
from serving.api.dialects.sealed import seal
from serving.engine import collect
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed
from serving.events import AgentFinished, AgentRetried, AgentStarted, AgentText, EventDelta
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.loading import STRATEGIES
from serving.types import AgentTrace, Delta, MoaOptions
from tests.support.api import HELLO, ask, chunks, client_of, status_and_code, texts
from tests.support.recipes import TEAM, Ask, Trio

PRESETS = {"layered": "moa", "self_moa": "self-moa", "self_moa_seq": "self-moa-seq", "staircase": "moa-staircase"}
SHOWN = f"{START}a*\n\na as adviser\n\n{END}"


@pytest.fixture
def engines() -> dict[str, ScriptedEngine]:
    def answer(name: str) -> ScriptedEngine:
        return ScriptedEngine(
            name, lambda request: f"{name} as {'final' if '-2-' in request.request_id else 'adviser'}"
        )

    return {name: answer(name) for name in "abc"}


def app_over(engines: dict[str, ScriptedEngine], preset: str = "moa-lite") -> Any:
    orchestrator = Orchestrator(engines, load_recipes([preset], TEAM))
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())


def streamed(response: Any) -> list[tuple[str, str]]:
    """Pieces of reasoning and text of a chat stream, in their order."""
    pieces = []
    for chunk in chunks(response):
        for choice in chunk.get("choices", ()) if isinstance(chunk, dict) else ():
            pieces += [(kind, choice["delta"][kind]) for kind in ("reasoning", "content") if choice["delta"].get(kind)]
    return pieces


async def test_the_first_proposal_is_written_before_the_answer(engines: dict[str, ScriptedEngine]):
    response = await ask(app_over(engines), model="moa-lite", stream=True, moa={"preview": True})
    pieces = streamed(response)
    assert "".join(text for kind, text in pieces if kind == "reasoning") == SHOWN
    assert texts(response) == "a as final"
    assert [kind for kind, _ in pieces] == sorted((kind for kind, _ in pieces), reverse=True)


async def test_the_preview_is_shown_while_the_proposals_are_still_written(engines: dict[str, ScriptedEngine]):
    for name in "abc":
        engines[name].hang = name != "b"
    app = app_over(engines)
    async with client_of(app) as client:
        body = {"model": "moa-lite", "messages": HELLO, "stream": True, "moa": {"preview": True, "deadline_s": 0.05}}
        response = await client.post("/v1/chat/completions", json=body)
    shown = "".join(text for kind, text in streamed(response) if kind == "reasoning")
    assert shown.startswith(f"{START}b*\n\nb as adviser")


async def test_a_whole_answer_has_the_preview_before_its_own_reasoning(engines: dict[str, ScriptedEngine]):
    engines["a"].thinking, engines["a"].answer = True, ScriptedAnswer("the answer", reasoning="own thought")
    answer = (await ask(app_over(engines), model="moa-lite", moa={"preview": True})).json()
    message = answer["choices"][0]["message"]
    assert message["content"] == "the answer"
    assert message["reasoning_content"] == f"{START}a*\n\nthe answer\n\n{END}own thought"
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


async def test_events_stay_beside_the_preview(engines: dict[str, ScriptedEngine]):
    options = {"preview": True, "events": True}
    response = await ask(app_over(engines), model="moa-lite", stream=True, moa=options)
    told = [
        event for chunk in chunks(response) if chunk != "[DONE]" for event in chunk.get("moa", {}).get("events", [])
    ]
    assert "agent_text" not in {event["event"] for event in told}
    assert told[-1]["event"] == "agent_finished"
    assert "".join(text for kind, text in streamed(response) if kind == "reasoning") == SHOWN


async def test_responses_have_the_preview_as_a_reasoning_item(engines: dict[str, ScriptedEngine]):
    body = {"model": "moa-lite", "input": "Hello", "moa": {"preview": True}}
    async with client_of(app_over(engines)) as client:
        whole = (await client.post("/v1/responses", json=body)).json()
        stream = (await client.post("/v1/responses", json={**body, "stream": True})).text
    reasoning, message = whole["output"]
    assert (reasoning["type"], reasoning["content"][0]["text"]) == ("reasoning", SHOWN)
    assert message["content"][0]["text"] == "a as final"
    last = json.loads(stream.rpartition("data: ")[2])
    assert last["response"]["output"][0]["content"] == reasoning["content"]


async def test_messages_have_the_preview_as_a_thinking_block(engines: dict[str, ScriptedEngine]):
    body = {"model": "moa-lite", "messages": HELLO, "max_tokens": 9, "moa": {"preview": True}}
    async with client_of(app_over(engines)) as client:
        whole = (await client.post("/v1/messages", json=body)).json()
        stream = (await client.post("/v1/messages", json={**body, "stream": True})).text
    thinking, text = whole["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", SHOWN)
    assert text["text"] == "a as final"
    assert stream.index("thinking_delta") < stream.index("text_delta")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"moa": {"preview": "yes"}}, "moa.preview"),
        ({"moa": {"preview": True}, "include_reasoning": False}, "moa.preview"),
        ({"moa": {"preview": True, "show": "reasoning"}}, "moa.preview"),
        ({"model": "a", "moa": {"preview": True}}, "moa.preview"),
    ],
)
async def test_a_preview_that_cannot_be_is_refused(
    engines: dict[str, ScriptedEngine], fields: dict[str, Any], param: str
):
    response = await ask(app_over(engines), **({"model": "moa-lite"} | fields))
    assert status_and_code(response)[0] == 400
    assert response.json()["error"]["param"] == param
    assert not any(engine.requests for engine in engines.values())


async def test_completions_refuse_a_preview(engines: dict[str, ScriptedEngine]):
    body = {"model": "moa-lite", "prompt": "Hello", "moa": {"preview": True}}
    async with client_of(app_over(engines)) as client:
        response = await client.post("/v1/completions", json=body)
    assert "answers of this endpoint have no reasoning" in response.json()["error"]["message"]


async def test_the_preview_is_no_part_of_the_conversation_that_is_sent_back(engines: dict[str, ScriptedEngine]):
    engines["a"].thinking = True
    preview = f"{SHOWN}own thought"
    turns = {
        "/v1/chat/completions": {
            "messages": [*HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": preview}, *HELLO]
        },
        "/v1/messages": {
            "max_tokens": 9,
            "messages": [
                *HELLO,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "", "signature": seal(preview)},
                        {"type": "text", "text": "Hi"},
                    ],
                },
                *HELLO,
            ],
        },
        "/v1/responses": {
            "input": [
                *HELLO,
                {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": preview}]},
                {"role": "assistant", "content": "Hi"},
                *HELLO,
            ]
        },
    }
    for path, body in turns.items():
        async with client_of(app_over(engines)) as client:
            response = await client.post(path, json={"model": "a", **body})
        assert response.status_code == 200, response.text
        assert [message.reasoning for message in engines["a"].requests[-1].messages] == [None, "own thought", None]


def test_only_the_preview_is_taken_out_of_reasoning():
    assert without_preview(None) is None
    assert without_preview("own thought") == "own thought"
    assert without_preview(SHOWN) is None
    assert without_preview(f"{START}a*\n\nbroken off") is None
    assert without_preview(f"{START}a*\n\nsays {END} itself\n\n{END}own thought") == "own thought"


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
async def test_the_answer_is_the_same_with_a_preview(trio: Trio, ask: Ask, strategy: str):
    preset = PRESETS.get(strategy, strategy)
    orchestrator = Orchestrator(trio, load_recipes(dict.fromkeys([preset, "moa", "moa-lite"]), TEAM))

    async def answer(moa: MoaOptions) -> Any:
        request = ask("What is the plan?")
        stream = orchestrator.engines[preset].generate(type(request)(request.request_id, request.messages, moa=moa))
        return await collect(preset, with_preview(stream, events=False), 1)

    plain, shown = await answer(MoaOptions()), await answer(MoaOptions(preview=True))
    assert shown.text == plain.text
    assert shown.usage == plain.usage
    reasoning = shown.choices[0].reasoning
    assert bool(reasoning) == (strategy != "auto")  # which asks one model; the plan here cannot be read
    assert without_preview(reasoning or None) is None


# -- one event after the other ---------------------------------------------------------------------------------------


def event_of(kind: type[Any], agent: int, **fields: Any) -> Any:
    return kind(0.0, 1, agent, "abc"[agent], fields.pop("role", "proposer"), **fields)


def finished(agent: int, text: str, status: Any = "ok") -> AgentFinished:
    trace = AgentTrace(1, agent, "proposer", "abc"[agent], status, text)
    return event_of(AgentFinished, agent, trace=trace)


def wrote(agent: int, text: str, role: str = "proposer") -> AgentText:
    return event_of(AgentText, agent, text=text, reasoning="", role=role)


async def shown(*told: Any) -> str:
    async def stream() -> AsyncGenerator[Delta, None]:
        for event in told:
            yield event if isinstance(event, Delta) else EventDelta(events=(event,))

    return "".join([delta.reasoning async for delta in with_preview(stream(), events=False)])


async def test_the_next_proposal_takes_the_place_of_one_that_fails():
    text = await shown(
        wrote(0, "one"), wrote(1, "two"), finished(0, "one", "failed"), wrote(1, " more"), finished(1, "two more")
    )
    assert text == f"{START}a*\n\none\n\n{START}b*\n\ntwo more\n\n{END}"


async def test_a_lost_replica_begins_again():
    text = await shown(wrote(0, "lost"), event_of(AgentRetried, 0), wrote(0, "found"), finished(0, "found"))
    assert text == f"{START}a*\n\nlost\n\n{START}a*\n\nfound\n\n{END}"
    assert without_preview(text) is None


async def test_the_answer_of_a_second_attempt_is_shown_whole():
    assert await shown(wrote(0, "slow"), finished(0, "fast")) == f"{START}a*\n\nslow\n\n{START}a*\n\nfast\n\n{END}"
    assert await shown(finished(2, "fast")) == f"{START}c*\n\nfast\n\n{END}"


async def test_nothing_is_shown_after_the_answer_has_begun():
    assert await shown(wrote(0, "one"), Delta("answer"), wrote(0, "late")) == f"{START}a*\n\none\n\n{END}"


async def test_judges_and_agents_that_answer_are_no_preview():
    began = event_of(AgentStarted, 0, answers=True, role="solver")
    assert await shown(wrote(0, "1", role="judge"), began, wrote(0, "the answer", role="solver")) == ""


async def test_a_failed_team_ends_the_preview_with_its_error(engines: dict[str, ScriptedEngine]):
    for engine in engines.values():
        engine.error, engine.fail_after = EngineFailed(engine.model, "secret"), 1
    response = await ask(app_over(engines), model="moa-lite", stream=True, moa={"preview": True})
    assert "quorum_not_reached" in response.text
    assert streamed(response)[0][1].startswith(f"{START}a*\n\na")

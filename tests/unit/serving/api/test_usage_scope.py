"""The setting `usage`: tokens of the answer's own call or of the team, in every dialect, whole and streamed."""

import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.api import HELLO, ask, chunks, client_of
from tests.support.recipes import Trio

PATHS = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/responses": {"input": "Hello"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 50},
}
OWN, TEAM = 2, 2 + 3 + 4  # completion tokens
COUNT = {"/v1/chat/completions": "completion_tokens"}


@pytest.fixture
def trio() -> Trio:
    answers = {"a": "one two", "b": "one two three", "c": "one two three four"}
    return {name: ScriptedEngine(name, answer) for name, answer in answers.items()}


def app(trio: Trio, **settings: Any) -> ASGIApp:
    recipe = {"id": "team", "layers": [["b", "c"]], "aggregator": "a", "prefill": "off"}
    orchestrator = Orchestrator(trio, load_recipes([recipe]))
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(**settings))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("settings", "wanted"), [({}, OWN), ({"usage": "answer"}, OWN), ({"usage": "team"}, TEAM)])
async def test_whole_answers(trio: Trio, path: str, settings: Any, wanted: int) -> None:
    async with client_of(app(trio, **settings)) as client:
        answer = (await client.post(path, json={"model": "team", **PATHS[path]})).json()
    assert answer["usage"][COUNT.get(path, "output_tokens")] == wanted
    assert answer["moa"]["usage"]["completion_tokens"] == TEAM
    assert not answer["moa"]["reasons"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("scope", "wanted"), [("answer", OWN), ("team", TEAM)])
async def test_streams(trio: Trio, path: str, scope: str, wanted: int) -> None:
    body = {"model": "team", "stream": True, **PATHS[path]}
    if path == "/v1/chat/completions":
        body["stream_options"] = {"include_usage": True}
    async with client_of(app(trio, usage=scope)) as client:
        text = (await client.post(path, json=body)).text
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    events = [json.loads(one) for one in data if one != "[DONE]"]
    [end] = [event for event in events if "moa" in (event.get("response") or event)]
    end = end.get("response") or end
    assert end["usage"][COUNT.get(path, "output_tokens")] == wanted
    assert end["moa"]["usage"]["completion_tokens"] == TEAM


async def test_a_stream_without_usage_has_the_team_s_in_moa(trio: Trio) -> None:
    *others, last, done = chunks(await ask(app(trio), model="team", stream=True))
    assert done == "[DONE]"
    assert (last["choices"][0]["finish_reason"], "usage" in last) == ("stop", False)
    assert last["moa"]["usage"]["completion_tokens"] == TEAM
    assert not any("moa" in chunk or "usage" in chunk for chunk in others)


@pytest.mark.parametrize(("scope", "before", "wanted"), [("answer", 0, OWN), ("team", TEAM - OWN, TEAM)])
async def test_continuous_usage_counts_the_same(trio: Trio, scope: str, before: int, wanted: int) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    role, *pieces, last, _ = chunks(
        await ask(app(trio, usage=scope), model="team", stream=True, stream_options=options)
    )
    counts = [chunk["usage"]["completion_tokens"] for chunk in pieces]
    assert role["usage"] is None
    assert counts == [before + 1, before + 2, wanted]
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], wanted)


async def test_continuous_usage_alone_adds_no_last_chunk(trio: Trio) -> None:
    options = {"continuous_usage_stats": True}
    *_, last, _ = chunks(await ask(app(trio), model="a", stream=True, stream_options=options))
    assert (last["choices"][0]["finish_reason"], last["usage"]["completion_tokens"]) == ("stop", OWN)


@pytest.mark.parametrize("scope", ["answer", "team"])
async def test_a_single_model_has_one_usage(trio: Trio, scope: str) -> None:
    answer = (await ask(app(trio, usage=scope), model="c", moa={"trace": True})).json()
    assert answer["usage"] == answer["moa"]["usage"]
    assert answer["usage"]["completion_tokens"] == 4
    assert "moa" not in (await ask(app(trio, usage=scope), model="c")).json()


async def test_all_choices_of_a_single_model_are_counted(trio: Trio) -> None:
    assert (await ask(app(trio), model="c", n=3)).json()["usage"]["completion_tokens"] == 12

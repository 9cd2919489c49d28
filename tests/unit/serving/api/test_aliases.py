"""Aliases: accepted as model ids, listed with their targets, and refused at the start if they cannot work."""

import json
import logging
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.api.aliases import check_aliases
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.telemetry import Observer, RequestEnd
from tests.support.api import HELLO, ask, chunks, client_of, get, status_and_code
from tests.support.recipes import Trio

ALIASES = {"gpt-4o": "team", "gpt-4o-mini": "b"}


def app(trio: Trio, observer: Observer | None = None, **settings: Any) -> ASGIApp:
    recipes = [
        {"id": "team", "layers": [["b", "c"]], "aggregator": "a", "prefill": "off", "description": "Three models."},
        {"id": "pair", "layers": [["c"]], "aggregator": "a", "prefill": "off"},
    ]
    orchestrator = Orchestrator(trio, load_recipes(recipes), observer=observer)
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(aliases=ALIASES, **settings))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/responses", {"input": "Hello"}),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 50}),
    ],
)
async def test_every_dialect_accepts_an_alias_and_answers_with_it(trio: Trio, path: str, body: Any) -> None:
    async with client_of(app(trio)) as client:
        answer = (await client.post(path, json={"model": "gpt-4o", "moa": {"trace": True}, **body})).json()
    assert answer["model"] == "gpt-4o"
    assert answer["moa"]["recipe"] == "team"
    assert "a says 2" in json.dumps(answer)


async def test_a_stream_has_the_alias_in_every_chunk(trio: Trio) -> None:
    *found, _ = chunks(await ask(app(trio), model="gpt-4o-mini", stream=True))
    assert {chunk["model"] for chunk in found} == {"gpt-4o-mini"}
    assert len(trio["b"].requests) == 1


async def test_tokens_are_counted_for_an_alias(trio: Trio) -> None:
    async with client_of(app(trio)) as client:
        body = {"model": "gpt-4o-mini", "messages": HELLO}
        assert (await client.post("/v1/messages/count_tokens", json=body)).json() == {"input_tokens": 5}


async def test_aliases_are_listed_with_their_targets(trio: Trio) -> None:
    listed = (await get(app(trio), "/v1/models")).json()["data"]
    assert [card["id"] for card in listed] == ["team", "pair", "a", "b", "c", "gpt-4o", "gpt-4o-mini"]
    assert [card.get("alias_of") for card in listed] == [None] * 5 + ["team", "b"]
    alias = (await get(app(trio), "/v1/models/gpt-4o")).json()
    assert alias.pop("settings")["advise"]["default"] == "user_turn"
    assert alias == listed[5] == {**listed[0], "id": "gpt-4o", "alias_of": "team"}
    assert (alias["kind"], alias["description"]) == ("recipe", "Three models.")


async def test_an_unknown_model_is_told_the_aliases_too(trio: Trio) -> None:
    response = await ask(app(trio), model="gpt-5")
    assert status_and_code(response) == (404, "model_not_found")
    assert "gpt-4o-mini" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("moa", "asked"),
    [
        ({"models": ["gpt-4o-mini", {"model": "gpt-4o-mini", "temperature": 0}]}, {"a": 1, "b": 2, "c": 0}),
        ({"layers": [["gpt-4o-mini"], ["c"]]}, {"a": 1, "b": 1, "c": 1}),
        ({"aggregator": "gpt-4o-mini"}, {"a": 0, "b": 2, "c": 1}),
        ({"aggregator": {"model": "gpt-4o-mini"}}, {"a": 0, "b": 2, "c": 1}),
    ],
)
async def test_agents_in_moa_may_be_aliases(trio: Trio, moa: Any, asked: dict[str, int]) -> None:
    response = await ask(app(trio), model="team", moa=moa)
    assert response.status_code == 200, response.text
    assert {name: len(engine.requests) for name, engine in trio.items()} == asked


async def test_the_recipe_in_moa_may_be_an_alias(trio: Trio) -> None:
    answer = (await ask(app(trio), model="pair", moa={"recipe": "gpt-4o"})).json()
    assert (answer["model"], answer["moa"]["recipe"]) == ("pair", "team")


@pytest.mark.parametrize("models", [3, [["gpt-4o-mini"]], [{"model": 3}], [{"no": "model"}]])
async def test_wrong_agents_in_moa_are_refused_as_without_aliases(trio: Trio, models: Any) -> None:
    with_aliases = await ask(app(trio), model="team", moa={"models": models})
    assert with_aliases.status_code == 400
    assert with_aliases.json()["error"]["param"].startswith("moa.models")


class Seen(Observer):
    def __init__(self) -> None:
        self.models: list[str] = []

    def request_started(self, model: str) -> None:
        self.models.append(model)

    def request_ended(self, end: RequestEnd) -> None:
        self.models.append(end.model)


async def test_log_and_metrics_have_the_real_id(trio: Trio, caplog: pytest.LogCaptureFixture) -> None:
    observer = Seen()
    with caplog.at_level(logging.INFO, "serving.requests"):
        await ask(app(trio, observer, log_requests=True), model="gpt-4o")
    [line] = [json.loads(record.getMessage()) for record in caplog.records if record.name == "serving.requests"]
    assert line["model"] == "team"
    assert observer.models == ["team", "team"]


async def test_the_description_has_the_aliases(trio: Trio) -> None:
    document = (await get(app(trio), "/openapi.json")).json()
    assert document["components"]["schemas"]["ChatBody"]["properties"]["model"]["enum"][-2:] == [*ALIASES]


@pytest.mark.parametrize(
    ("aliases", "sentence"),
    [
        ({"x": "none"}, "Set the alias 'x' in api.aliases to a served model or recipe (m, team), not 'none'."),
        ({"x": "y", "y": "m"}, "Set the alias 'x' in api.aliases to a model or recipe: 'y' is an alias itself."),
        ({"x": "x"}, "Set the alias 'x' in api.aliases to a model or recipe: 'x' is an alias itself."),
        ({"m": "team"}, "Rename the alias 'm' in api.aliases: a model or recipe has this id."),
    ],
)
def test_an_alias_that_cannot_work_is_refused(aliases: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_aliases(aliases, ["m", "team"])
    assert str(raised.value) == sentence


def test_the_application_checks_its_aliases(trio: Trio) -> None:
    orchestrator = Orchestrator({"m": ScriptedEngine("m")}, {})
    with pytest.raises(ConfigError, match="not 'none'"):
        create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(aliases={"x": "none"}))


@pytest.mark.parametrize("name", ["", "two words", "x" * 257])
def test_a_name_that_no_request_can_send_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(aliases={name: "m"})

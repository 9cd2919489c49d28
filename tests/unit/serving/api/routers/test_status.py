"""Status endpoints: health, readiness, versions and model cards."""

import asyncio
import re
import tomllib
from pathlib import Path

import pytest

from serving.api import ApiSettings, create_app
from serving.api.routers.status import own_version
from serving.cards import ModelCard
from serving.engines.scripted import ScriptedEngine
from tests.support.api import HandEngine, app_of, client_of, get, status_and_code
from tests.support.paths import ROOT

M = {"m": ScriptedEngine("m")}


async def test_models_are_listed_with_their_kind_and_context() -> None:
    app = create_app(
        {"org/m": M["m"], "team": M["m"]},
        [
            ModelCard("org/m", "model", 8192),
            ModelCard("team", "recipe", None, "A team.", settings={"layers": {"type": "integer"}}),
        ],
        ApiSettings(),
    )
    async with client_of(app) as client:
        listed = (await client.get("/v1/models")).json()
        single = (await client.get("/v1/models/org/m")).json()
        team = (await client.get("/v1/models/team")).json()
    assert listed["object"] == "list"
    assert single == {**listed["data"][0], "settings": {}}
    assert team == {**listed["data"][1], "settings": {"layers": {"type": "integer"}}}
    assert isinstance(single.pop("created"), int)
    assert single == {
        "id": "org/m",
        "object": "model",
        "owned_by": "moa-serve",
        "root": "org/m",
        "parent": None,
        "kind": "model",
        "max_model_len": 8192,
        "modalities": ["text"],
        "description": "",
        "task": "generate",
        "thinking": False,
        "tools": False,
        "usd_per_million_tokens": None,
        "settings": {},
    }
    assert [(card["id"], card["kind"], card["max_model_len"]) for card in listed["data"][1:]] == [
        ("team", "recipe", None)
    ]


async def test_an_unknown_model_card() -> None:
    assert status_and_code(await get(app_of(M), "/v1/models/x")) == (404, "model_not_found")


class HungHealth(HandEngine):
    async def check_health(self) -> None:
        await asyncio.Event().wait()


class CountingHealth(HandEngine):
    def __init__(self) -> None:
        super().__init__()
        self.checks = 0
        self.error: Exception | None = None

    async def check_health(self) -> None:
        self.checks += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_alive_is_not_ready() -> None:
    engines = {"m": ScriptedEngine("m"), "sick": ScriptedEngine("sick", healthy=False), "hung": HungHealth()}
    async with client_of(app_of(engines, health_timeout_s=0.02)) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        response = await client.get("/ready")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json()["error"]["code"] == "engine_unavailable"
    assert response.json()["failing"] == {
        "sick": "'sick' is not available: scripted to be unhealthy.",
        "hung": "'hung' did not answer within 0.02 s.",
    }
    assert response.json()["error"]["message"] == (
        "'sick' is not available: scripted to be unhealthy. 'hung' did not answer within 0.02 s."
    )


async def test_ready_when_all_engines_answer() -> None:
    response = await get(app_of(M), "/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "engines": ["m"]})


@pytest.mark.parametrize(("cache_s", "checks"), [(60, 1), (0, 2)])
async def test_probes_share_one_check(cache_s: float, checks: int) -> None:
    engine = CountingHealth()
    async with client_of(app_of({"m": engine}, health_cache_s=cache_s)) as client:
        await asyncio.gather(*(client.get("/ready") for _ in range(5)))
        await client.get("/ready")
    assert engine.checks == checks


async def test_a_health_check_that_breaks_is_a_failing_engine_and_tells_nothing() -> None:
    engine = CountingHealth()
    engine.error = RuntimeError("password=hunter2")
    async with client_of(app_of({"m": engine})) as client:
        response = await client.get("/ready")
    assert response.status_code == 503
    assert "hunter2" not in response.text


async def test_versions() -> None:
    versions = (await get(app_of(M, versions={"vllm": "0.29.0"}), "/version")).json()
    assert versions["vllm"] == "0.29.0"
    assert re.match(r"3\.\d+", versions["python"])
    assert "version" in versions


def test_the_version_is_that_of_the_source_tree(tmp_path: Path) -> None:
    assert own_version() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert own_version(tmp_path / "pyproject.toml").startswith("unknown")


KEY = {"authorization": "Bearer key-one"}


@pytest.mark.parametrize(
    ("headers", "settings", "told"),
    [
        (KEY, {}, True),
        ({}, {}, False),
        ({"authorization": "Bearer wrong"}, {}, False),
        ({**KEY, "x-api-key": "other"}, {}, False),
        ({}, {"public_status": True}, True),
    ],
)
async def test_strangers_learn_whether_the_server_is_ready_and_no_more(
    headers: dict[str, str], settings: dict[str, bool], told: bool
) -> None:
    sick = ScriptedEngine("sick", healthy=False)
    for engines, status in (({"secret-model": M["m"]}, 200), ({"secret-model": M["m"], "sick": sick}, 503)):
        app = app_of(engines, api_key="key-one", versions={"vllm": "0.29.0"}, **settings)
        async with client_of(app, **headers) as client:
            ready, version = await client.get("/ready"), await client.get("/version")
            described = (await client.get("/openapi.json")).text
        assert ready.status_code == status
        assert version.status_code == (200 if told else 401)
        assert ("secret-model" in described) == (own_version() in described) == told
        if told:
            continue
        assert "vllm" not in version.text
        if status == 200:
            assert ready.json() == {"status": "ready"}
        else:
            assert status_and_code(ready) == (503, "engine_unavailable")
            assert ready.json()["error"]["message"] == "'server' is not available: not all models are ready."
            assert ready.headers["retry-after"] == "5"

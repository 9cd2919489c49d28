"""`/metrics` on the API's port: only if the setting is on, without a key, and described."""

import pytest

from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError, EngineUnavailable
from tests.support.api import app_of, client_of, get, status_and_code

ENGINES = {"m": ScriptedEngine("m")}


async def page() -> bytes:
    return b'ray_moa_requests_total{model="m"} 1.0\n'


async def test_it_is_off_by_default() -> None:
    app = app_of(ENGINES, page=page)
    assert status_and_code(await get(app, "/metrics")) == (404, "not_found")
    assert "/metrics" not in (await get(app, "/openapi.json")).json()["paths"]


@pytest.mark.parametrize("key", [None, "secret"])
async def test_it_is_text_for_anyone_who_reaches_the_port(key: str | None) -> None:
    app = app_of(ENGINES, page=page, metrics=True, api_key=key)
    response = await get(app, "/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.text == 'ray_moa_requests_total{model="m"} 1.0\n'
    described = (await get(app, "/openapi.json")).json()["paths"]["/metrics"]["get"]
    assert "security" not in described
    assert set(described["responses"]["200"]["content"]) == {"text/plain"}


async def test_head_is_answered_as_tools_probe_for_it() -> None:
    async with client_of(app_of(ENGINES, page=page, metrics=True)) as client:
        response = await client.head("/metrics")
    assert (response.status_code, response.content) == (200, b"")


async def test_without_an_answer_of_any_node_it_is_unavailable() -> None:
    async def broken() -> bytes:
        raise EngineUnavailable("metrics", "no node answered")

    response = await get(app_of(ENGINES, page=broken, metrics=True), "/metrics")
    assert status_and_code(response)[0] == 503


def test_a_server_without_metrics_refuses_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"Set api\.metrics to false"):
        app_of(ENGINES, metrics=True)

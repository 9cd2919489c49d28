"""The API with a store: it starts, says whether it can be reached, and answers without it."""

from pathlib import Path

import httpx
import pytest

from serving.api.app import create_app
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engines.scripted import ScriptedEngine
from serving.store.settings import StoreSettings
from serving.store.store import Store

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("reachable", [True, False])
async def test_ready_tells_whether_the_store_can_be_reached_and_answers_do_not_need_it(
    tmp_path: Path, reachable: bool
) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / ("folder" if reachable else "file")
    store = Store(StoreSettings(path=str(folder / "store.sqlite"), timeout_s=20), environment={})
    app = create_app({"m": ScriptedEngine("m", "Hi")}, [ModelCard("m", "model")], ApiSettings(), store=store)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        ready = await client.get("/ready")
        assert ready.status_code == 200
        assert ready.json()["store"] == {"database": reachable, "expiring": reachable}
        answer = await client.post("/v1/chat/completions", json=BODY)
        assert answer.json()["choices"][0]["message"]["content"] == "Hi"


async def test_strangers_learn_nothing_of_the_store(tmp_path: Path) -> None:
    store = Store(StoreSettings(path=str(tmp_path / "store.sqlite")), environment={})
    settings = ApiSettings(api_key="key-one")
    app = create_app({"m": ScriptedEngine("m")}, [ModelCard("m", "model")], settings, store=store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/ready")).json() == {"status": "ready"}
    await store.close()

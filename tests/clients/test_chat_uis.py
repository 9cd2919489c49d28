"""Open WebUI and LibreChat: their requests to scripted models."""

import httpx
import pytest

from tests.clients.conftest import QUESTION, World
from tests.support import chat_uis
from tests.support.loops import THOUGHT


@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_open_webui(world: World, model: str) -> None:
    async with httpx.AsyncClient(base_url=world.url, headers=chat_uis.OPEN_WEBUI_HEADERS) as client:
        listed = (await client.get("/models")).json()["data"]
        assert {"moa-lite", "a"} <= {entry["id"] for entry in listed}
        body = chat_uis.open_webui_chat(model, QUESTION)
        text, thinking, usage = chat_uis.streamed(await client.post("/chat/completions", json=body))
        titled = await client.post("/chat/completions", json=chat_uis.open_webui_title(model))
    assert (text, thinking) == ("I would use a calculator.", THOUGHT)
    assert usage["prompt_tokens"] > 0
    assert titled.status_code == 200
    last = world.models["a"].requests[0].messages
    assert [message.role for message in last] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_librechat(world: World, model: str) -> None:
    async with httpx.AsyncClient(base_url=world.url) as client:
        body = chat_uis.librechat_chat(model, QUESTION)
        text, thinking, usage = chat_uis.streamed(await client.post("/chat/completions", json=body))
    assert (text, thinking) == ("I would use a calculator.", THOUGHT)
    assert usage["completion_tokens"] > 0
    request = world.models["a"].requests[-1]
    assert (request.sampling.temperature, request.user) == (1, body["user"])

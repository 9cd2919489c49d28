"""Open WebUI and LibreChat: their requests to the embedded trio."""

import httpx

from tests.clients.trio.programs.common import QUESTION
from tests.support import chat_uis

TIMEOUT_S = 240


def test_open_webui(url: str) -> None:
    with httpx.Client(base_url=f"{url}/v1", headers=chat_uis.OPEN_WEBUI_HEADERS, timeout=TIMEOUT_S) as client:
        assert "moa-lite" in {entry["id"] for entry in client.get("/models").json()["data"]}
        body = chat_uis.open_webui_chat("moa-lite", QUESTION)
        text, _, usage = chat_uis.streamed(client.post("/chat/completions", json=body))
        titled = client.post("/chat/completions", json=chat_uis.open_webui_title("moa-lite")).json()
    assert text.strip()
    assert usage["completion_tokens"] > 0
    assert titled["choices"][0]["message"]["content"]


def test_librechat(url: str) -> None:
    with httpx.Client(base_url=f"{url}/v1", timeout=TIMEOUT_S) as client:
        response = client.post("/chat/completions", json=chat_uis.librechat_chat("moa-lite", QUESTION))
    text, _, usage = chat_uis.streamed(response)
    assert text.strip()
    assert usage["prompt_tokens"] > 0

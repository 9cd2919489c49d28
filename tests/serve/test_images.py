"""Images through Ray Serve: their bytes reach the replicas of models that see, in every dialect."""

import hashlib
from typing import Any

import httpx
import openai
import pytest

from tests.support.images import PNG, PNG_URL
from tests.support.server import Server

DIGEST = hashlib.sha256(PNG).hexdigest()
PARTS = [{"type": "image_url", "image_url": {"url": PNG_URL}}, {"type": "text", "text": "What is it?"}]
MESSAGES: Any = [{"role": "user", "content": PARTS}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PNG_URL}]}]},
    "/v1/messages": {
        "max_tokens": 99,
        "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": PNG_URL}}]}],
    },
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKED)
def test_the_bytes_of_an_image_reach_a_replica(server: Server, path: str, stream: bool) -> None:
    body = {"model": "scripted-a", "stream": stream, **ASKED[path]}
    response = httpx.post(f"{server.url}{path}", json=body, timeout=60)
    assert response.status_code == 200
    assert DIGEST in response.text


def test_a_team_says_who_saw_the_image(client: openai.OpenAI) -> None:
    answer: Any = client.chat.completions.create(
        model="moa-lite",
        messages=MESSAGES,
        extra_body={"moa": {"trace": True}},
    )
    assert answer.choices[0].message.content == DIGEST, "the aggregator sees"
    proposers, _ = answer.moa["trace"]
    assert [(agent["text"], agent.get("images")) for agent in proposers["agents"]] == [
        (DIGEST, 1),
        ("words of scripted-b", None),
    ]
    assert answer.moa["reasons"] == ["The request's image: shown to 'scripted-a'; 'scripted-b' read [image] instead."]


def test_models_say_their_modalities(client: openai.OpenAI) -> None:
    modalities = {model.id: model.model_dump()["modalities"] for model in client.models.list()}
    assert modalities["scripted-a"] == modalities["moa-lite"] == ["text", "image"]
    assert modalities["scripted-b"] == ["text"]


def test_a_model_without_eyes_answers_and_says_so(client: openai.OpenAI) -> None:
    answer: Any = client.chat.completions.create(
        model="scripted-b",
        messages=[{"role": "user", "content": PARTS}],  # type: ignore[list-item,misc]
    )
    assert answer.choices[0].message.content == "words of scripted-b"
    assert answer.moa["degraded"] is True

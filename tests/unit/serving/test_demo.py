"""The demo server: its command line, and answers of its models and recipes."""

import sys
from typing import Any

import pytest

from serving import demo
from tests.support.api import ask, get


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments with which the demo starts its HTTP server."""
    started: dict[str, Any] = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **options: started.update(app=app, **options))
    return started


async def test_every_model_and_recipe_answers(
    started: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--port", "8123", "--tokens", "3", "--ttft-s", "0", "--itl-s", "0"]
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    demo.main()
    assert (started["host"], started["port"]) == ("127.0.0.1", 8123)
    ids = [card["id"] for card in (await get(started["app"], "/v1/models")).json()["data"]]
    assert ids == ["moa", "moa-lite", *demo.MODELS]
    assert f"http://127.0.0.1:8123/v1 answers as: {', '.join(ids)}" in capsys.readouterr().out
    for name in ids:
        model = name if name in demo.MODELS else demo.MODELS[0]
        response = await ask(started["app"], model=name)
        assert response.json()["choices"][0]["message"]["content"] == f"{model}-1 {model}-2 {model}-3"

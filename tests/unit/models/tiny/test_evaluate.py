"""Measuring through a server, against one that answers from the benchmark itself."""

import argparse
import json
from pathlib import Path

import httpx
import pytest

from evaluation.analysis.cost import costs
from evaluation.client import Client
from evaluation.datasets import load
from evaluation.errors import EvaluationError
from models.tiny import evaluate
from models.tiny.evaluate import as_table, measure, run, shares
from models.tiny.heldout import rows

ANSWERS = {row.question.text: row.question.answer for row in rows()}


def _server(request: httpx.Request) -> httpx.Response:
    """`good` knows everything, `half` only sums, `down` is refused."""
    if request.url.path == "/v1/models":
        return httpx.Response(200, json={"data": [{"id": name} for name in ("good", "half", "down")]})
    body = json.loads(request.content)
    text = ANSWERS[body["messages"][-1]["content"]]
    if body["model"] == "down":
        return httpx.Response(400, json={"error": {"message": "no such luck"}})
    if body["model"] == "half" and not text.lstrip("-").isdigit():
        text = "?"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    agent = {"agent": 0, "role": "aggregator", "model": "m", "outcome": "ok", "text": text}
    layers = [{"layer": 1, "agents": [agent, agent]}, {"layer": 2, "agents": [agent]}]
    moa = {"trace": layers} if body["model"] == "good" and body["moa"]["trace"] else {}
    usage = {"prompt_tokens": 30, "completion_tokens": 5}
    return httpx.Response(200, json={"choices": [choice], "usage": usage, "moa": moa})


def _client() -> Client:
    return Client("http://server", transport=httpx.MockTransport(_server))


async def test_shares_by_skill_and_over_all() -> None:
    async with _client() as client:
        measured = await measure(client, ("good", "half", "down"), load("tiny").items, concurrency=16, temperature=0.0)
    found = shares(measured)
    assert [found["good"][skill].value for skill in ("arithmetic", "words", "facts", "all")] == [1.0] * 4
    assert [found["half"][skill].value for skill in ("arithmetic", "words", "facts")] == [1.0, 0.0, 0.0]
    assert found["half"]["all"].low < 1 / 3 < found["half"]["all"].high
    assert found["down"]["all"].value == 0.0
    assert {one.error for one in measured if one.model == "down"} == {"400: no such luck"}
    cost = {entry.arm: entry for entry in costs(measured)}
    markdown = as_table(found, cost).markdown()
    assert "| `half` | **100.0 [96, 100]** | 0.0 [0, 4] | 0.0 [0, 4] | 33.3 [28, 39] | 1.00 | 35 |" in markdown
    assert "| 3.00 | 35 |" in markdown
    assert "| 0.0 [0, 1] | - | - |" in markdown


def _options(out: Path, models: list[str]) -> argparse.Namespace:
    return argparse.Namespace(
        url="http://server", api_key=None, models=models, concurrency=4, temperature=None, every=10, out=out
    )


async def test_the_report_keeps_every_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "Client", lambda url, api_key: _client())
    markdown = await run(_options(tmp_path, ["good"]))
    assert (tmp_path / "tiny-quality.md").read_text("utf-8") == markdown
    document = json.loads((tmp_path / "tiny-quality.json").read_text("utf-8"))
    assert len(document["answers"]) == 30
    assert document["shares"]["good"]["all"]["value"] == 1.0


async def test_a_model_that_is_not_served_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "Client", lambda url, api_key: _client())
    with pytest.raises(EvaluationError, match="has no better; it serves good, half, down"):
        await run(_options(tmp_path, ["better"]))

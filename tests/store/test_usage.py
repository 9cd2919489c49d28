"""`GET /v1/usage`, `POST /v1/feedback` and grades: own answers only, and the same numbers in each format."""

import datetime
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from serving.api.exchange import Api
from serving.api.openapi import COMPONENTS
from serving.engines.scripted import ScriptedEngine
from serving.quality.sampler import QUALITY_KEY, QualitySampler
from serving.quality.settings import QualitySettings
from serving.store.record_tables import GRADES
from serving.store.store import Store
from serving.store.usage_queries import usage_report
from serving.store.usage_report import Period
from tests.support.records import GUARD_S, Seen, embedded, only_row, recording, today

KEYS = [{"name": "alice", "key": "key-of-alice"}, {"name": "bob", "key": "key-of-bob"}]
ALICE, BOB = {"x-api-key": "key-of-alice"}, {"x-api-key": "key-of-bob"}
BODY = {"model": "moa-lite", "messages": [{"role": "user", "content": "hello to you"}]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return embedded(tmp_path)


@pytest.fixture
async def server(store: Store) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    async with recording(store, observer=Seen(), keys=KEYS) as both:
        yield both


async def ask(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.post("/v1/chat/completions", json=BODY, headers=headers)).json()
    return answer


async def test_a_key_reads_its_own_usage_and_an_administrator_that_of_all(
    store: Store, server: tuple[Api, httpx.AsyncClient]
) -> None:
    app, client = server
    alices = [await ask(client, ALICE) for _ in range(2)]
    await ask(client, BOB)
    assert await store.records.flush(GUARD_S)
    own = (await client.get("/v1/usage", headers=ALICE)).json()
    jsonschema.validate(own, {"$ref": f"{COMPONENTS}UsageBody", "components": app.openapi()["components"]})
    assert own["key"] == "alice"
    assert own["total"]["requests"] == 2
    assert own["total"]["completion_tokens"] == sum(a["moa"]["usage"]["completion_tokens"] for a in alices)
    assert [row["name"] for row in own["by"]["key"]] == ["alice"]
    assert {row["name"] for row in own["by"]["role"]} == {"proposer", "aggregator"}
    assert own["budget_usd_per_month"] is None
    refused = await client.get("/v1/usage", params={"key": "bob"}, headers=ALICE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "admin_key_required")

    keys = app.state.server.keys
    callers = tuple((key, replace(one, admin=one.name == "alice")) for key, one in keys.callers)
    app.state.server = replace(app.state.server, keys=replace(keys, callers=callers))
    everything = (await client.get("/v1/usage", params={"period": "month", "by": "key"}, headers=ALICE)).json()
    assert everything["key"] is None
    assert {row["name"]: row["requests"] for row in everything["by"]["key"]} == {"alice": 2, "bob": 1}
    assert everything["budget_usd_per_month"] == 1.0
    assert everything["month_usd"] == pytest.approx(everything["total"]["usd"])
    other = (await client.get("/v1/usage", params={"key": "bob"}, headers=ALICE)).json()
    assert other["total"]["requests"] == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"period": "year"}, "period"),
        ({"date": "30.11.2026"}, "date"),
        ({"date": "9999-12-31"}, "date"),
        ({"by": "user"}, "by"),
        ({"key": "k" * 300}, "key"),
        ({"from": "2026-11-30"}, "from"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(
    server: tuple[Api, httpx.AsyncClient], given: dict[str, str], field: str
) -> None:
    response = await server[1].get("/v1/usage", params=given, headers=ALICE)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field


async def test_feedback_is_about_own_answers_and_the_last_one_counts(
    store: Store, server: tuple[Api, httpx.AsyncClient]
) -> None:
    app, client = server
    answer = await ask(client, ALICE)
    mine = {"id": answer["id"], "score": 0.25, "comment": "Too short."}
    stored = await client.post("/v1/feedback", json=mine, headers=ALICE)
    assert stored.status_code == 200
    assert stored.json() == {"object": "feedback", "model": "moa-lite", **mine}
    jsonschema.validate(stored.json(), {"$ref": f"{COMPONENTS}FeedbackRead", "components": app.openapi()["components"]})
    await client.post("/v1/feedback", json={**mine, "score": 1}, headers=ALICE)
    for headers, body in ((BOB, mine), (ALICE, {**mine, "id": "chatcmpl-other"})):
        unknown = await client.post("/v1/feedback", json=body, headers=headers)
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "answer_not_found")
    (row,) = (await client.get("/v1/usage", headers=ALICE)).json()["feedback"]
    assert (row["model"], row["proposers"], row["answers"], row["score"]) == ("moa-lite", 3, 1, 1.0)
    assert app.state.server.observer.scores == [("rated", "moa-lite", 0.25), ("rated", "moa-lite", 1.0)]
    assert (await client.get("/v1/usage", headers=BOB)).json()["feedback"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "a"}, "score"),
        ({"id": "a", "score": 1.5}, "score"),
        ({"id": "a", "score": -1}, "score"),
        ({"id": "a", "score": 1, "comment": "c" * 2001}, "comment"),
        ({"score": 1}, "id"),
        ({"id": "a", "score": 1, "rating": 5}, "rating"),
    ],
)
async def test_wrong_feedback_is_refused_by_name(
    server: tuple[Api, httpx.AsyncClient], body: dict[str, Any], field: str
) -> None:
    response = await server[1].post("/v1/feedback", json=body, headers=ALICE)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field


async def test_a_server_without_a_store_has_neither_endpoint() -> None:
    async with recording(None) as (app, client):
        assert (await client.get("/v1/usage")).status_code == 404
        assert (await client.post("/v1/feedback", json={"id": "a", "score": 1})).status_code == 404
        assert (await ask(client, {}))["choices"]
    assert not {"/v1/usage", "/v1/feedback"} & set(app.openapi()["paths"])


async def test_judges_are_not_billed_to_the_caller(tmp_path: Path) -> None:
    store, seen = embedded(tmp_path), Seen()
    judge = ScriptedEngine("judge", "8")
    quality = QualitySampler(QualitySettings(sample=1, judge="judge"), judge, store.requests, seen, (2.0, 2.0))
    async with recording(store, observer=seen, quality=quality) as (_, client):
        answer = await ask(client, {})
        grade = await only_row(store, GRADES)
        report = await usage_report(store.database, today())
        own = (await client.get("/v1/usage")).json()
    assert (grade.answer_id, grade.model, grade.proposers, grade.score) == (answer["id"], "moa-lite", 3, 0.8)
    assert (report.quality[0].score, report.quality[0].answers) == (0.8, 1)
    assert seen.scores == [("graded", "moa-lite", 3, 0.8)]
    by_role = {row.name: row for row in report.by["role"]}
    assert by_role["quality_judge"].calls == 1
    assert by_role["quality_judge"].usd > 0
    assert {row.name for row in report.by["key"]} == {"none", QUALITY_KEY}
    assert own["total"]["completion_tokens"] == answer["moa"]["usage"]["completion_tokens"]
    assert ("quality", "quality_judge") in seen.roles


def test_a_month_ends_with_its_last_day() -> None:
    december = Period.around("month", datetime.date(2026, 12, 31))
    assert (december.first, december.last, december.end) == ("2026-12-01", "2026-12-31", "2027-01-01")
    week = Period.around("week", datetime.date(2026, 11, 29))
    assert (week.first, week.last) == ("2026-11-23", "2026-11-29")

"""Records of requests: their sums equal the answers' usage, for all dialects and all ends of a request."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.store.database import Database
from serving.store.record_tables import CALLS, FEEDBACK, GRADES, REQUESTS
from serving.store.record_values import CallRecord, RequestRecord
from serving.store.records import RecordedAnswer, Records
from serving.store.texts import made_storable
from serving.store.usage_queries import usage_report
from serving.store.writer import RecordWriter
from serving.types import GenerateRequest
from serving.usage import TokenUsage
from tests.support.api import running
from tests.support.records import GUARD_S, Seen, echo, echoing, embedded, only_row, recording, rows, today
from tests.support.waiting import until

FIELDS = ("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "uncounted", "unpriced")
HELLO = {"messages": [{"role": "user", "content": "hello to you"}]}


def said(number: int) -> str:
    return " ".join(["please"] * (1 + number % 7))


def bodies(number: int, model: str) -> dict[str, dict[str, Any]]:
    turn = [{"role": "user", "content": said(number)}]
    return {
        "/v1/chat/completions": {"model": model, "messages": turn},
        "/v1/responses": {"model": model, "input": said(number), "store": False},
        "/v1/messages": {"model": model, "messages": turn, "max_tokens": 50},
        "/v1/completions": {"model": model, "prompt": [said(number), f"{said(number)} again"]},
    }


def team_usage(body: dict[str, Any]) -> tuple[int, int, int]:
    """Prompt, completion and cached tokens of a whole answer: of the team if a recipe made it."""
    usage = body["moa"]["usage"] if body.get("moa") else body["usage"]
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    return prompt, usage.get("completion_tokens", usage.get("output_tokens", 0)), details.get("cached_tokens") or 0


async def whole(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> tuple[int, int, int]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return team_usage(response.json())


async def streamed(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[int, int, int]:
    options = {"stream": True, "stream_options": {"include_usage": True}, "moa": {"trace": True}}
    response = await client.post("/v1/chat/completions", json={**body, **options})
    events = [json.loads(line[6:]) for line in response.text.split("\n\n") if line.startswith("data: {")]
    return team_usage([event for event in events if event.get("usage")][-1])


async def failed(client: httpx.AsyncClient) -> tuple[int, int, int]:
    turn = {"role": "user", "content": "fail now"}
    response = await client.post("/v1/chat/completions", json={"model": "b", "messages": [turn]})
    assert response.status_code >= 500
    return (0, 0, 0)


async def cancelled(client: httpx.AsyncClient, engine: ScriptedEngine, number: int) -> tuple[int, int, int]:
    turn = {"role": "user", "content": f"hang {number}"}
    asking = asyncio.create_task(client.post("/v1/chat/completions", json={"model": "d", "messages": [turn]}))
    await until(lambda: any(asked.messages[-1].content == turn["content"] for asked in engine.requests))
    asking.cancel()
    await asyncio.wait({asking})
    return (0, 0, 0)


async def test_the_sum_of_a_day_is_the_sum_of_the_answers_usage_to_the_token(tmp_path: Path) -> None:
    """All dialects at once, streams, batches of prompts, embeddings, rankings, failures and cancelled requests."""
    store, seen = embedded(tmp_path), Seen()

    def sometimes(request: GenerateRequest) -> str:
        if request.messages and "fail" in request.messages[-1].content:
            raise EngineFailed("b", "scripted to fail")
        return echoing(request)

    hanging = ScriptedEngine("d", hang=True)
    models = {"a": echo("a"), "b": ScriptedEngine("b", sometimes), "c": echo("c"), "d": hanging}
    async with recording(store, models, seen) as (_, client):
        tasks = []
        for number in range(12):
            for model in ("a", "moa-lite"):
                tasks += [whole(client, path, body) for path, body in bodies(number, model).items()]
                tasks.append(streamed(client, bodies(number, model)["/v1/chat/completions"]))
            tasks.append(whole(client, "/v1/embeddings", {"model": "e", "input": [said(number), "x y"]}))
        tasks += [failed(client) for _ in range(5)]
        tasks += [cancelled(client, hanging, number) for number in range(3)]
        sums = [sum(values) for values in zip(*await asyncio.gather(*tasks), strict=True)]
        ranked = await client.post("/v1/rerank", json={"model": "r", "query": "q", "documents": ["one", "two three"]})
        sums[0] += ranked.json()["usage"]["total_tokens"]
        assert await store.records.flush(GUARD_S)
        report = await usage_report(store.database, today())

    total = report.total
    assert [total.prompt_tokens, total.completion_tokens, total.cached_tokens] == sums
    assert seen.used == {"none": sums[0] + sums[1]}
    assert (total.requests, report.failed, report.cancelled) == (len(tasks) + 1, 5, 3)
    assert total.uncounted == 8
    assert total.unpriced == 13  # embeddings and rankings
    proposers = {row.name: row for row in report.by["proposer"]}
    assert set(proposers) == {"a", "c"}
    assert sum(row.calls for row in proposers.values()) == sum(
        row.calls for row in report.by["role"] if row.name == "proposer"
    )
    for name, parts in report.by.items():
        if name == "proposer":
            continue
        for field in FIELDS:
            assert sum(getattr(row, field) for row in parts) == getattr(total, field), (name, field)
        assert sum(row.usd for row in parts) == pytest.approx(total.usd)
    roles = {"proposer", "aggregator", "model", "embed", "rerank"}
    assert {row.name for row in report.by["role"]} == roles
    priced = [row for row in report.by["model"] if row.name in "abc"]
    assert total.usd == pytest.approx(sum(row.prompt_tokens + 4 * row.completion_tokens for row in priced) / 1e6)


async def test_a_stream_that_is_left_counts_its_proposers(tmp_path: Path) -> None:
    """As `moa.usage` of an answer does: calls whose tokens are unknown are left out, and said to be."""
    store = embedded(tmp_path)
    models = {
        "a": ScriptedEngine("a", "one two three"),
        "b": ScriptedEngine("b", " ".join(["w"] * 10_000), itl_s=0.005),
        "c": ScriptedEngine("c", "four five"),
    }
    async with (
        recording(store, models, started=False) as (app, _),
        running(app) as url,
        httpx.AsyncClient() as client,
    ):
        body = {"model": "moa-lite", **HELLO, "stream": True}
        async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if '"content":"w' in line:
                    break
        record = await only_row(store)
        calls = await rows(store, CALLS)
    assert record.outcome == "cancelled"
    proposers = [call for call in calls if call.role == "proposer"]
    assert record.completion_tokens == sum(call.completion_tokens for call in proposers) == 8
    assert record.prompt_tokens == sum(call.prompt_tokens for call in proposers)
    assert (record.uncounted, record.proposers, record.streamed) == (1, 3, True)
    assert [call.completion_tokens for call in calls if call.role == "aggregator"] == [None]


async def test_a_record_says_who_asked_what_and_how_it_ended(tmp_path: Path) -> None:
    store = embedded(tmp_path)
    keys = [{"name": "alice", "key": "key-of-alice", "priority_class": "batch"}, {"name": "bob", "key": "key-of-bob"}]
    models = {"a": echo("a"), "b": echo("b"), "c": ScriptedEngine("c", error=EngineFailed("c", "gone"), fail_after=0)}
    async with recording(store, models, keys=keys) as (_, client):
        headers = {"x-api-key": "key-of-alice", "x-request-id": "mine"}
        body = {"model": "moa-lite", **HELLO, "priority": 7}
        answer = (await client.post("/v1/chat/completions", json=body, headers=headers)).json()
        record = await only_row(store)
        calls = await rows(store, CALLS)
    assert (record.request_id, record.answer_id, record.key_name) == ("mine", answer["id"], "alice")
    assert record.tenant not in ("", "alice")
    assert (record.path, record.model, record.recipe) == ("/v1/chat/completions", "moa-lite", "moa-lite")
    assert (record.priority_class, record.outcome, record.degraded) == ("batch", "ok", True)
    assert json.loads(record.reasons) == answer["moa"]["reasons"]
    assert record.total_s >= record.ttft_s > 0
    assert {(call.model, call.role, call.outcome) for call in calls} == {
        ("a", "proposer", "ok"),
        ("b", "aggregator", "ok"),
        ("c", "proposer", "failed"),
    }
    assert (record.prompt_text, record.answer_text) == (None, None)


@pytest.mark.parametrize("model", ["a", "moa-lite"])
async def test_a_stored_answer_costs_nothing(tmp_path: Path, model: str) -> None:
    store = embedded(tmp_path)
    body = {**HELLO, "model": model, "moa": {"cache": {"ttl_s": 60}}}
    async with recording(store, {name: echo(name) for name in "abcd"}) as (_, client):
        answers = [await client.post("/v1/chat/completions", json=body) for _ in range(2)]
        assert await store.records.flush(GUARD_S)
        report = await usage_report(store.database, today())
    assert [answer.headers["x-moa-cache"] for answer in answers] == ["stored", "hit"]
    once = team_usage(answers[0].json())
    total = report.total
    assert (total.requests, total.prompt_tokens, total.completion_tokens) == (2, *once[:2])


async def test_refused_requests_make_no_calls(tmp_path: Path) -> None:
    store = embedded(tmp_path)
    async with recording(store, {name: ScriptedEngine(name, context_tokens=10) for name in "abc"}) as (_, client):
        long = {"model": "a", "messages": [{"role": "user", "content": "word " * 50}]}
        assert (await client.post("/v1/chat/completions", json=long)).status_code == 400
        record = await only_row(store)
    assert (record.outcome, record.calls, record.uncounted) == ("context_length_exceeded", 0, 0)


async def test_texts_are_stored_only_if_the_operator_says_so(tmp_path: Path) -> None:
    store = embedded(tmp_path, texts=True, max_text_chars=30)
    async with recording(store) as (_, client):
        await client.post("/v1/chat/completions", json={"model": "a", **HELLO})
        record = await only_row(store)
    assert record.answer_text == "word word word"
    assert record.prompt_text == '[{"role":"user","content":"hel'


async def test_answers_do_not_wait_for_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = embedded(tmp_path / "file")
    async with recording(store) as (_, client):
        answer = await client.post("/v1/chat/completions", json={"model": "moa-lite", **HELLO})
        assert answer.status_code == 200
        assert store.records.pending == 5  # the request and its four calls
        for refused in (
            await client.get("/v1/usage"),
            await client.post("/v1/feedback", json={"id": answer.json()["id"], "score": 1}),
        ):
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "store_unavailable"
            assert str(tmp_path) not in refused.text
        store.records._pending.clear()  # so that the end does not wait for it


def record(number: int, at: float, usd: float = 1.0, key: str = "alice") -> RequestRecord:
    return RequestRecord(
        id=f"id-{number}", at=at, request_id="r", answer_id=f"answer-{number}", key=key, tenant="", path="/p",
        model="m", recipe="none", priority_class="standard", priority=0, streamed=False, prompts=1, calls=[call(usd)],
        ttft_s=None, total_s=1.0, outcome="ok", prompt_text="\0\ud800",
    )  # fmt: skip


def call(usd: float) -> CallRecord:
    return CallRecord("m", "model", 1, 0, "ok", TokenUsage(3, 2, None), usd, True)


async def test_the_month_is_summed_by_key_and_old_records_are_deleted(database: Database) -> None:
    november = 1_795_996_800.0  # 2026-11-30
    writer = RecordWriter(database, 100, lambda count: None)
    writer.start()
    records = Records(database, writer)
    for number, (days, key) in enumerate([(0, "alice"), (1, "alice"), (1, "bob"), (31, "alice"), (200, "alice")]):
        records.add(record(number, november - 86_400 * days, 1.5, key))
    records.grade(RecordedAnswer("answer-0", "alice", "m", 3), "judge", 0.5)
    try:
        assert await writer.flush(GUARD_S)
        spent = await records.spent(november)
        assert {key: spent[key] for key in ("alice", "bob")} == {"alice": 3.0, "bob": 1.5}
        assert await records.sweep(november) == 2  # one request and its call
        assert await records.sweep(november) == 0
        found = await records.answer("answer-0", "alice")
        assert found == RecordedAnswer("answer-0", "alice", "m", 0)
        assert await records.answer("answer-0", "bob") is None
        assert await records.answer("answer-4", "alice") is None
        for score in (0.0, 1.0):
            await records.rate(found, score, "a\0b")
        async with database.reading() as connection:
            (row,) = (await connection.execute(FEEDBACK.select())).all()
            assert (row.score, row.comment) == (1.0, "ab")
        assert await records.sweep(time.time() + 86_400 * 365) >= 9
    finally:
        await writer.close(GUARD_S)
        async with database.writing() as connection:
            for table in (REQUESTS, CALLS, FEEDBACK, GRADES):
                await connection.execute(table.delete())


def test_what_no_database_stores_is_left_out() -> None:
    assert made_storable("a\0b\ud800") == "ab?"

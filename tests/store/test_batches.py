"""Batches in SQLite and PostgreSQL: their steps, their results and their worker, with scripted answers."""

import asyncio
import dataclasses
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from serving.api.dialects.batches_answers import batch_json
from serving.batches.parts import LineAnswer, LineRequest, RunParts
from serving.batches.service import Batches
from serving.batches.settings import BatchSettings
from serving.batches.slots import Slots
from serving.batches.worker import BatchWorker
from serving.store.batch_contents import BatchContents
from serving.store.batch_files import FileInUse, FilesFull
from serving.store.batch_results import Counts, LineResult, LineUsage
from serving.store.batch_rows import Batch
from serving.store.batch_tables import BATCHES, FILES
from serving.store.database import Database
from serving.store.errors import StoreUnavailable
from serving.store.settings import StoreSettings
from serving.store.store import Store
from serving.telemetry import Observer
from tests.support.batches import CHAT, jsonl, line, rows
from tests.support.waiting import until

GIB = 2**30
Answer = Callable[[LineRequest], Awaitable[LineAnswer]]


class Seen(Observer):
    """Keeps the events of batches."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.ends: list[str] = []

    def batch_line_ended(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def batch_ended(self, status: str) -> None:
        self.ends.append(status)


@pytest.fixture
async def batches(database: Database, tmp_path: Path) -> AsyncIterator[Batches]:
    """Batches in the database of the fixture, of which other tests may have left some."""
    place = StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=20)
    environment = {} if database.embedded else {place.database_env: str(database.url).replace("+asyncpg", "")}
    store = Store(place, environment=environment)
    async with store.database.writing() as connection:
        await connection.execute(update(BATCHES).values(status="failed"))
    yield Batches(BatchSettings(max_concurrent=4), place, store, works=True)
    await store.close()


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def made(batches: Batches, content: bytes, owner: str = "name:red", **changes: Any) -> Batch:
    file = await batches.files.add(owner, "r.jsonl", once(content), 3600, GIB)
    now = time.time()
    batch = Batch(
        **{
            **dict.fromkeys(("metadata", "model", "errors", "usage", "output_file_id", "error_file_id")),
            "id": f"batch_{uuid.uuid4().hex}",
            "owner": owner,
            "endpoint": CHAT,
            "input_file_id": file.id,
            "status": "validating",
            "total": 0,
            "completed": 0,
            "failed": 0,
            "output_ttl_s": 3600.0,
            "created_at": now,
            "expires_at": now + 60,
            **changes,
        }
    )
    assert await batches.rows.add(batch, 100)
    return batch


def worker_of(batches: Batches, answer: Answer, observer: Observer | None = None) -> BatchWorker:
    async def model_check(owner: str, endpoint: str) -> Callable[[str], str | None]:
        return lambda model: None

    async def at_once(owner: str) -> None:
        return None

    parts = RunParts(batches, Slots(0), answer, model_check, at_once, 10_000, observer or Observer(), poll_s=0.02)
    return BatchWorker(parts)


async def ended(batches: Batches, batch: Batch) -> Batch:
    async with asyncio.timeout(200):
        while True:
            now = await batches.rows.get(batch.id)
            assert now, "the batch has been removed"
            if not now.open:
                return now
            await asyncio.sleep(0.02)


async def content_of(batches: Batches, file_id: str | None) -> list[Any]:
    return rows(b"".join([piece async for piece in batches.files.contents.read(file_id)]))


async def fine(request: LineRequest) -> LineAnswer:
    return LineAnswer(200, b'{"usage": {"prompt_tokens": 2, "completion_tokens": 3}}')


async def test_a_line_has_one_result_and_only_while_the_batch_runs(batches: Batches) -> None:
    batch = await made(batches, b"")
    first, second = (LineResult(1, True, content, LineUsage(2, None, 3)) for content in (b"first", b"second"))
    assert not await batches.results.add(batch.id, first)
    await batches.rows.begin(batch.id, 2, "m")
    assert await batches.results.add(batch.id, first)
    assert await batches.results.add(batch.id, second)
    assert b"".join([one async for one in batches.results.contents(batch.id, ok=True)]) == b"first\n"
    assert await batches.results.counts([batch.id]) == {batch.id: Counts(1, 0, LineUsage(2, None, 3))}
    assert await batches.results.lines(batch.id) == {1}
    await batches.rows.cancel(batch.id)
    assert not await batches.results.add(batch.id, dataclasses.replace(second, line=2))
    await batches.rows.begin(batch.id, 2, "m")  # no way back
    now = await batches.rows.get(batch.id)
    assert now.status == "cancelling"


async def test_a_batch_is_the_owners_alone(batches: Batches) -> None:
    batch = await made(batches, b"", "name:alone")
    assert await batches.rows.get(batch.id, "name:alone") == batch
    assert await batches.rows.get(batch.id, "name:other") is None
    assert await batches.files.get(batch.input_file_id, "name:other") is None
    assert await batches.rows.page("name:alone", None, 10) == [batch]
    assert not await batches.rows.add(dataclasses.replace(batch, id="another"), 1)


async def test_pages_follow_each_other(batches: Batches) -> None:
    owner = f"name:{uuid.uuid4().hex}"
    all_of_it = [await made(batches, b"", owner) for _ in range(3)]
    first = await batches.rows.page(owner, None, 2)
    rest = await batches.rows.page(owner, first[-1], 2)
    assert [one.id for one in (*first, *rest)] == [one.id for one in reversed(all_of_it)]
    oldest, *_ = files = await batches.files.page(owner, "batch", None, 10, True)
    assert [one.id for one in files] == [one.input_file_id for one in all_of_it]
    assert await batches.files.page(owner, None, oldest, 10, False) == []
    assert await batches.files.page(owner, "batch_output", None, 10, False) == []


async def test_files_that_expire_and_those_that_are_read(batches: Batches) -> None:
    batch = await made(batches, b"{}")
    file = await batches.files.get(batch.input_file_id, batch.owner)
    with pytest.raises(FileInUse):
        await batches.files.remove(file.id)
    async with batches.store.database.writing() as connection:
        await connection.execute(update(FILES).values(expires_at=time.time() - 1))
    assert await batches.files.get(file.id, batch.owner) is None
    await batches.files.sweep()
    assert await content_of(batches, file.id) == [{}], "a batch reads it"
    await batches.rows.fail(batch.id, "[]")
    while await batches.files.sweep():
        pass
    with pytest.raises(FileNotFoundError):
        await content_of(batches, file.id)
    await batches.rows.sweep(time.time() + 1)
    assert await batches.rows.get(batch.id) is None


async def test_an_upload_that_fails_leaves_nothing(batches: Batches, tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await batches.files.add("name:cut", "r.jsonl", cut(), 3600, GIB)
    with pytest.raises(FilesFull):
        await batches.files.add("name:cut", "r.jsonl", once(b"12345"), 3600, 4)
    assert await batches.files.page("name:cut", None, None, 10, False) == []
    assert list((tmp_path / "files").iterdir()) == []


async def test_a_worker_answers_a_batch(batches: Batches) -> None:
    seen = Seen()
    answers = {"bad": LineAnswer(400, b'{"error": {}}')}

    async def answer(request: LineRequest) -> LineAnswer:
        text = json.loads(request.body)["messages"][0]["content"]
        return answers[text] if text in answers else await fine(request)

    batch = await made(batches, jsonl(line("a"), line("bad"), line("b")))
    worker = worker_of(batches, answer, seen)
    worker.start()
    now = await ended(batches, batch)
    await worker.stop()
    assert (now.status, now.total, now.completed, now.failed, now.model) == ("completed", 3, 2, 1, "m")
    assert json.loads(now.usage or "")["total_tokens"] == 10
    assert [one["custom_id"] for one in await content_of(batches, now.output_file_id)] == ["a", "b"]
    assert [one["custom_id"] for one in await content_of(batches, now.error_file_id)] == ["bad"]
    assert sorted(seen.outcomes) == ["completed", "completed", "failed"]
    assert await batches.results.lines(batch.id) == set()


async def test_a_batch_says_why_its_lines_wait(batches: Batches, caplog: pytest.LogCaptureFixture) -> None:
    message = "The key 'red' has too little left of its budget of 5 dollars."
    refusal = {"error": {"message": message, "code": "insufficient_quota", "type": "insufficient_quota"}}
    budget = LineAnswer(429, json.dumps(refusal).encode(), retry_after_s=30)
    left = True

    async def answer(request: LineRequest) -> LineAnswer:
        return budget if left else await fine(request)

    batch = await made(batches, jsonl(line("a"), line("b")))
    worker = worker_of(batches, answer)
    worker.start()

    async def waits() -> bool:
        now = await batches.rows.get(batch.id)
        return now is not None and now.waiting is not None

    await until(waits)
    await worker.stop()
    now = await batches.rows.get(batch.id)
    shown = batch_json(now, Counts())["moa"]["waiting"]
    assert (shown["code"], shown["message"]) == ("insufficient_quota", message)
    assert [record.getMessage() for record in caplog.records if message in record.getMessage()] == [
        f"Lines of the batch {batch.id} wait: {message}"
    ]
    left = False
    worker = worker_of(batches, answer)  # it learns from the row that a reason is shown
    worker.start()
    now = await ended(batches, batch)
    await worker.stop()
    assert (now.status, now.completed, now.waiting) == ("completed", 2, None)
    assert batch_json(now, None)["moa"] is None


async def test_a_line_beyond_a_budget_waits_for_the_next_one_if_the_batch_lasts_as_long(batches: Batches) -> None:
    """The other limits: `retry_s`."""
    answers = {
        "day": LineAnswer(429, b"{}", 600),
        "month": LineAnswer(429, b"{}", 6_000),
        "away": LineAnswer(503, b"{}"),
    }

    async def answer(request: LineRequest) -> LineAnswer:
        return answers[json.loads(request.body)["messages"][0]["content"]]

    impatient = Batches(BatchSettings(retry_s=0), StoreSettings(), batches.store, works=True)
    impatient.files = batches.files
    batch = await made(batches, jsonl(*map(line, answers)), expires_at=time.time() + 3_000)
    worker = worker_of(impatient, answer)
    worker.start()

    async def two_failed() -> bool:
        return await batches.results.lines(batch.id) == {2, 3}

    await until(two_failed)
    await worker.stop()
    assert await batches.results.lines(batch.id) == {2, 3}


async def test_an_expired_batch_says_which_lines_were_not_answered(batches: Batches) -> None:
    answered, hang = asyncio.Event(), asyncio.Event()

    async def answer(request: LineRequest) -> LineAnswer:
        if b"slow" in request.body:
            await hang.wait()
        answered.set()
        return await fine(request)

    batch = await made(batches, jsonl(line("quick"), line("slow")))
    worker = worker_of(batches, answer)
    worker.start()
    await answered.wait()
    async with asyncio.timeout(200):
        while not await batches.results.lines(batch.id):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await worker.stop()
    async with batches.store.database.writing() as connection:
        await connection.execute(update(BATCHES).where(BATCHES.c.id == batch.id).values(expires_at=time.time() - 1))
    worker = worker_of(batches, answer)
    worker.start()
    now = await ended(batches, batch)
    await worker.stop()
    assert (now.status, now.completed, now.failed) == ("expired", 1, 0)
    [left] = await content_of(batches, now.error_file_id)
    assert (left["custom_id"], left["error"]["code"]) == ("slow", "batch_expired")


async def test_a_batch_belongs_to_one_worker(batches: Batches) -> None:
    asked: list[str] = []
    go = asyncio.Event()

    async def answer(request: LineRequest) -> LineAnswer:
        asked.append(request.request_id)
        await go.wait()
        return await fine(request)

    batch = await made(batches, jsonl(*(line(str(n)) for n in range(3))))
    one, other = worker_of(batches, answer), worker_of(batches, answer)
    one.start()
    async with asyncio.timeout(200):
        while len(asked) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await other.step()
    await other.step()
    assert len(asked) == 3
    await one.stop()  # puts them back, and ends its lease
    go.set()
    other.start()
    now = await ended(batches, batch)
    await other.stop()
    assert (now.status, now.completed) == ("completed", 3)
    assert len(asked) == 6


async def test_content_that_is_gone_fails_the_batch(batches: Batches) -> None:
    batch = await made(batches, jsonl(line("a")))
    await batches.files.contents.remove(batch.input_file_id)
    worker = worker_of(batches, fine)
    worker.start()
    now = await ended(batches, batch)
    await worker.stop()
    assert now.status == "failed"
    assert json.loads(now.errors or "")[0]["code"] == "file_not_found"


async def test_creators_at_the_same_time_do_not_pass_a_limit_together(batches: Batches) -> None:
    owner = f"name:{uuid.uuid4().hex}"
    first = await made(batches, b"12345", owner)
    await batches.rows.fail(first.id, "[]")
    ids = [uuid.uuid4().hex for _ in range(8)]
    added = await asyncio.gather(*(batches.rows.add(dataclasses.replace(first, id=one), 1) for one in ids))
    assert sum(added) == 1

    stored = await asyncio.gather(
        *(batches.files.add(owner, "r.jsonl", once(b"12345"), 3600, 10) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in stored) == ["FilesFull"] * 7 + ["StoredFile"]
    assert len(await batches.files.page(owner, None, None, 10, False)) == 2


async def test_a_batch_of_another_worker_is_not_asked_for_at_each_look(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, claims = asyncio.Event(), []

    async def answer(request: LineRequest) -> LineAnswer:
        await hang.wait()
        return await fine(request)

    batch = await made(batches, jsonl(line("a")))
    one, other = worker_of(batches, answer), worker_of(batches, answer)
    await one.step()
    claim = batches.store.expiring.claim

    async def counted(key: str, owner: str, ttl_s: float) -> bool:
        claims.append(key)
        return await claim(key, owner, ttl_s)

    monkeypatch.setattr(batches.store.expiring, "claim", counted)
    for _ in range(5):
        await other.step()
    assert claims == [f"batch:{batch.id}"]
    hang.set()
    await one.stop()
    await other.stop()


async def test_a_store_that_is_away_is_logged_once_and_its_return_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    place = StoreSettings(path=str(tmp_path / "file" / "store.sqlite"), timeout_s=20)
    store = Store(place, environment={})
    worker = worker_of(Batches(BatchSettings(), place, store, works=True), fine)
    steps, step = 0, worker.step

    async def counted() -> None:
        nonlocal steps
        steps += 1
        await step()

    monkeypatch.setattr(worker, "step", counted)
    worker.start()
    await until(lambda: steps > 5)
    (tmp_path / "file").unlink()
    await until(lambda: any("go on" in record.getMessage() for record in caplog.records))
    await worker.stop()
    await store.close()
    said = [record.getMessage() for record in caplog.records if record.name == "serving.batches"]
    assert len(said) == 2
    assert said[0].startswith("Batches wait for the store, which failed: ")
    assert said[1] == "Batches go on: the store can be reached again."


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    contents = BatchContents((tmp_path / "file" / "folder").as_uri())
    with pytest.raises(StoreUnavailable):
        await contents.write("x", once(b"1"))

"""Files and batches with the public `openai` client."""

import io
from pathlib import Path
from typing import Any

import openai
import pytest

from serving.api.key_settings import KeySettings
from serving.api.settings import ApiSettings
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from tests.support.batches import CHAT, batches_app, client_of, ended, jsonl, line, rows

DIALECTS: dict[str, dict[str, Any]] = {
    CHAT: {"model": "moa-lite", "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/responses": {"model": "m", "input": "Hello"},
    "/v1/completions": {"model": "m", "prompt": "Hello"},
    "/v1/messages": {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/embeddings": {"model": "e", "input": "Hello"},
    "/v1/rerank": {"model": "e", "query": "Hello", "documents": ["a", "b"]},
}


async def test_a_batch_from_the_upload_to_the_answers(tmp_path: Path) -> None:
    async with client_of(batches_app(tmp_path)) as client:
        sent = jsonl(line("one"), line("two"), line("bad", model="m", messages=[], n=1))
        file = await client.files.create(
            file=("requests.jsonl", io.BytesIO(sent)),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 7200},
        )
        assert (file.object, file.bytes, file.filename, file.purpose) == ("file", len(sent), "requests.jsonl", "batch")
        assert file.expires_at - file.created_at == 7200
        made = await client.batches.create(
            input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"job": "nightly"}
        )
        assert (made.status, made.input_file_id, made.metadata) == ("validating", file.id, {"job": "nightly"})
        assert made.expires_at == made.created_at + 86_400
        batch = await ended(client, made.id)
        assert batch.status == "completed"
        assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 2, 1)
        assert batch.model == "m"
        assert batch.usage.output_tokens > 0
        assert None not in (batch.in_progress_at, batch.finalizing_at, batch.completed_at)
        answers = rows((await client.files.content(batch.output_file_id)).content)
        assert [answer["custom_id"] for answer in answers] == ["one", "two"]
        for answer in answers:
            assert answer["error"] is None
            assert answer["response"]["status_code"] == 200
            assert answer["response"]["request_id"] == answer["id"]
            assert answer["response"]["body"]["choices"][0]["message"]["content"] == "m says it"
        [failed] = rows((await client.files.content(batch.error_file_id)).content)
        assert (failed["custom_id"], failed["response"]["status_code"]) == ("bad", 400)
        assert failed["response"]["body"]["error"]["param"] == "messages"
        assert [one.id async for one in client.batches.list()] == [batch.id]
        outputs = [one async for one in client.files.list(purpose="batch_output")]
        assert {one.id for one in outputs} == {batch.output_file_id, batch.error_file_id}
        assert (await client.files.delete(batch.output_file_id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(batch.output_file_id)


@pytest.mark.parametrize("endpoint", DIALECTS)
async def test_every_dialect(tmp_path: Path, endpoint: str) -> None:
    async with client_of(batches_app(tmp_path)) as client:
        sent = jsonl(line("x", endpoint, **DIALECTS[endpoint]))
        file = await client.files.create(file=("r.jsonl", sent), purpose="batch")
        made = await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
        batch = await ended(client, made.id)
        assert batch.status == "completed"
        assert batch.error_file_id is None
        assert batch.usage.input_tokens > 0
        [answer] = rows((await client.files.content(batch.output_file_id)).content)
        body = answer["response"]["body"]
        by_http = await client.post(endpoint.removeprefix("/v1"), body=DIALECTS[endpoint], cast_to=object)
        assert {*body} == {*by_http}


async def test_a_file_with_errors_is_refused_with_their_lines(tmp_path: Path) -> None:
    async with client_of(batches_app(tmp_path)) as client:
        sent = jsonl(line("one"), line("one"), line("x", "/v1/responses"), line("y", model="unknown", messages=[]))
        file = await client.files.create(file=("r.jsonl", sent + b"no json\n"), purpose="batch")
        made = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        batch = await ended(client, made.id)
        assert batch.status == "failed"
        assert [(error.line, error.code) for error in batch.errors.data] == [
            (2, "duplicate_custom_id"),
            (3, "invalid_url"),
            (4, "invalid_model"),
            (5, "invalid_json"),
        ]
        assert batch.output_file_id is None


async def test_a_cancelled_batch_keeps_its_answers(tmp_path: Path) -> None:
    slow = ScriptedEngine("m", "m says it", hang=True)
    app = batches_app(tmp_path, {"m": slow, "q": ScriptedEngine("q", "quick")}, max_concurrent=2, min_concurrent=2)
    async with client_of(app) as client:
        quick = {"model": "q", "messages": [{"role": "user", "content": "Hello"}]}
        sent = jsonl(line("quick", **quick), line("slow-1"), line("slow-2"), line("slow-3"))
        file = await client.files.create(file=("r.jsonl", sent), purpose="batch")
        made = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        while (await client.batches.retrieve(made.id)).request_counts.completed < 1:
            pass
        with pytest.raises(openai.BadRequestError, match="Cancel the batch that reads the file"):
            await client.files.delete(file.id)
        assert (await client.batches.cancel(made.id)).status in ("cancelling", "cancelled")
        batch = await ended(client, made.id)
        assert batch.status == "cancelled"
        assert slow.running == 0
        [answer] = rows((await client.files.content(batch.output_file_id)).content)
        assert answer["custom_id"] == "quick"
        left = rows((await client.files.content(batch.error_file_id)).content)
        assert [one["custom_id"] for one in left] == ["slow-1", "slow-2", "slow-3"]
        assert {one["error"]["code"] for one in left} == {"batch_cancelled"}
        with pytest.raises(openai.BadRequestError, match="has ended already"):
            await client.batches.cancel(made.id)


async def test_lines_run_as_their_caller_at_the_lowest_priority_and_nobody_else_sees_them(tmp_path: Path) -> None:
    keys = tuple(KeySettings(name=name, key=f"key-of-{name}") for name in ("red", "blue"))
    engine = ScriptedEngine("m", "m says it")
    app = batches_app(tmp_path, {"m": engine}, api=ApiSettings(keys=keys))
    async with client_of(app, "key-of-red") as red:
        blue = red.with_options(api_key="key-of-blue")
        file = await red.files.create(file=("r.jsonl", jsonl(line("one"))), purpose="batch")
        made = await red.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        batch = await ended(red, made.id)
        assert batch.status == "completed"
        await red.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        of_batch, plain = engine.requests
        assert of_batch.tenant == plain.tenant
        assert of_batch.tenant.id
        assert of_batch.priority == plain.priority + 1024 * 64  # the class below; engines get 64 times the value
        for refused in (
            blue.files.retrieve(file.id),
            blue.files.content(batch.output_file_id),
            blue.files.delete(file.id),
            blue.batches.retrieve(batch.id),
            blue.batches.cancel(batch.id),
            blue.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h"),
        ):
            with pytest.raises(openai.NotFoundError) as error:
                await refused
            assert error.value.code == "object_not_found"
        assert [one async for one in blue.files.list()] == []
        assert [one async for one in blue.batches.list()] == []


async def test_a_line_that_may_succeed_later_is_tried_again(tmp_path: Path) -> None:
    broken = ScriptedEngine("m", "m says it", error=EngineFailed("m", "away"))
    async with client_of(batches_app(tmp_path, {"m": broken}, retry_s=0)) as client:
        file = await client.files.create(file=("r.jsonl", jsonl(line("one"))), purpose="batch")
        made = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        batch = await ended(client, made.id)
        [failed] = rows((await client.files.content(batch.error_file_id)).content)
        assert failed["response"]["status_code"] == 502
    again = ScriptedEngine("m", "m says it", error=EngineFailed("m", "away"))
    async with client_of(batches_app(tmp_path, {"m": again})) as client:
        made = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        while not again.requests:
            await client.batches.retrieve(made.id)
        again.error = None
        batch = await ended(client, made.id)
        assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 0)


async def test_uploads_and_batches_that_cannot_be_used(tmp_path: Path) -> None:
    app = batches_app(tmp_path, max_file_bytes=2000, max_stored_bytes=3000)
    async with client_of(app) as client:
        with pytest.raises(openai.BadRequestError, match="Set 'purpose' to 'batch'"):
            await client.files.create(file=("r.jsonl", b"{}"), purpose="fine-tune")
        with pytest.raises(openai.APIStatusError, match="larger than 2000 bytes") as error:
            await client.files.create(file=("r.jsonl", b" " * 2001), purpose="batch")
        assert error.value.status_code == 413
        file = await client.files.create(file=("r.jsonl", b" " * 2000), purpose="batch")
        with pytest.raises(openai.BadRequestError, match="at most 3000 bytes"):
            await client.files.create(file=("r.jsonl", b" " * 2000), purpose="batch")
        assert [one.id async for one in client.files.list()] == [file.id]
        with pytest.raises(openai.BadRequestError, match="endpoint"):
            await client.batches.create(input_file_id=file.id, endpoint="/v1/images/edits", completion_window="24h")
        with pytest.raises(openai.NotFoundError, match="There is no file 'file-x'"):
            await client.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
        with pytest.raises(openai.APIStatusError) as wrong:
            await client.post("/files", body={"purpose": "batch"}, cast_to=object)
        assert wrong.value.status_code == 415

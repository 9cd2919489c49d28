"""Batches whose server, worker or database is killed: no line is lost, none is doubled."""

from collections import Counter
from pathlib import Path

import openai
import pytest

from tests.support.batch_server import BatchServer, batch_server
from tests.support.batches import CHAT, ended, jsonl, line, rows
from tests.support.store_servers import Postgres, postgres_server
from tests.support.waiting import until

LINES = 500
LIMIT_S = 600
IDS = [f"line-{number}" for number in range(LINES)]
pytestmark = pytest.mark.timeout(1200)  # a process starts in 2 s, or in 40 on a busy machine


def client_of(server: BatchServer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0)


async def begun(client: openai.AsyncOpenAI) -> str:
    file = await client.files.create(file=("r.jsonl", jsonl(*map(line, IDS))), purpose="batch")
    made = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    return made.id


async def until_completed(client: openai.AsyncOpenAI, batch_id: str, at_least: int) -> None:
    async def reached() -> bool:
        return (await client.batches.retrieve(batch_id)).request_counts.completed >= at_least

    await until(reached, LIMIT_S)


async def check_output(client: openai.AsyncOpenAI, batch_id: str) -> None:
    """Every line has its own answer, once."""
    batch = await ended(client, batch_id)
    assert (batch.status, batch.error_file_id) == ("completed", None)
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0)
    answers = rows((await client.files.content(batch.output_file_id)).content)
    assert [answer["custom_id"] for answer in answers] == IDS
    for answer in answers:
        assert answer["response"]["body"]["choices"][0]["message"]["content"] == answer["custom_id"]


async def test_a_server_that_is_killed(tmp_path: Path) -> None:
    with batch_server(tmp_path, {}, gate=250) as server:
        async with client_of(server) as client:
            batch_id = await begun(client)
            await until_completed(client, batch_id, 50)  # and while it goes on
            server.kill()
            server.start()
            await until_completed(client, batch_id, 250)  # while the next four are in progress
            server.kill()
            server.open_gate(400)
            server.start()
            await until_completed(client, batch_id, 400)
            server.stop()
            server.open_gate(LINES)
            server.start()
            await check_output(client, batch_id)
            repeated = [text for text, times in Counter(server.answered()).items() if times > 1]
            assert len(repeated) <= 2 * 4, "what has a result is not answered again"


async def test_a_database_that_is_killed(tmp_path: Path) -> None:
    with (
        postgres_server() as postgres,
        batch_server(tmp_path, {"MOA_DATABASE_URL": postgres.url}, gate=250) as server,
    ):
        async with client_of(server) as client:
            batch_id = await begun(client)
            await until_completed(client, batch_id, 250)
            postgres.kill()
            server.open_gate(LINES)
            await until(lambda: len(server.answered()) >= 254, LIMIT_S)  # the next four wait for the database
            postgres.start()
            await check_output(client, batch_id)
            assert sorted(server.answered()) == sorted(IDS), "a result that waits is not answered again"


async def test_another_worker_continues(postgres: Postgres, tmp_path: Path) -> None:
    environment = {"MOA_DATABASE_URL": postgres.url}
    with batch_server(tmp_path, environment, gate=250) as first:
        async with client_of(first) as client:
            batch_id = await begun(client)
            await until_completed(client, batch_id, 250)
        with batch_server(tmp_path, environment, gate=250) as second:
            first.kill()
            second.open_gate(LINES)
            async with client_of(second) as client:
                await check_output(client, batch_id)

"""Batches on Ray Serve: files by any orchestrator, lines by the worker over the models' handles."""

import openai

from tests.support.batches import CHAT, ended, jsonl, line, rows
from tests.support.server import Server


async def test_a_batch_over_a_recipe_and_its_models(server: Server) -> None:
    body = {"model": "moa-lite", "messages": [{"role": "user", "content": "Hello"}]}
    sent = jsonl(*(line(f"line-{number}", **body) for number in range(20)))
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        file = await client.files.create(file=("r.jsonl", sent), purpose="batch")
        made = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        batch = await ended(client, made.id)
        assert (batch.status, batch.request_counts.completed) == ("completed", 20)
        answers = rows((await client.files.content(batch.output_file_id)).content)
        assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(20)]
        assert {answer["response"]["body"]["choices"][0]["message"]["content"] for answer in answers} == {
            "words of scripted-a"
        }

"""Embeddings with the public `openai` client, which asks for base64 and decodes it."""

import math

import openai
import pytest

from serving.engines.scripted_pooling import ScriptedPoolingEngine
from tests.support.api import running
from tests.support.pooling import pooling_app


async def test_the_client_reads_the_vectors() -> None:
    engine = ScriptedPoolingEngine("e", dimensions=64, context_tokens=4, matryoshka=True)
    async with (
        running(pooling_app({"e": engine})) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
        whole = await client.embeddings.create(model="e", input=["one two", "three"], user="someone")
        assert [(entry.index, len(entry.embedding)) for entry in whole.data] == [(0, 64), (1, 64)]
        assert math.hypot(*whole.data[0].embedding) == pytest.approx(1)
        assert (whole.model, whole.usage.prompt_tokens, whole.usage.total_tokens) == ("e", 3, 3)
        numbers = await client.embeddings.create(model="e", input="one two", encoding_format="float")
        assert numbers.data[0].embedding == whole.data[0].embedding
        ids = await client.embeddings.create(model="e", input=[[1, 2], [3]], dimensions=16)
        assert {len(entry.embedding) for entry in ids.data} == {16}
        with pytest.raises(openai.BadRequestError, match="it has 5 tokens, but the context of 'e' holds 4") as refused:
            await client.embeddings.create(model="e", input="a b c d e")
        assert refused.value.code == "input_too_long"
        with pytest.raises(openai.BadRequestError, match="'e' computes embeddings"):
            await client.chat.completions.create(model="e", messages=[{"role": "user", "content": "Hello"}])

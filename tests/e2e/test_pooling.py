"""A server whose models embed and rank: tiny-qwen on vLLM. Its vectors mean little, but they must be exact."""

import asyncio
import base64
import json
import math
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.support.paths import ROOT
from tests.support.server import Server, served

TEXTS = ["What is 17 + 25?", "Name the capital of Peru.", "rain", "The cat sat on the mat, and then it slept."]


@pytest.fixture(scope="module")
def pooling_server() -> Iterator[Server]:
    with served("deployments:moa_app", "profile=tests/support/pooling.yaml") as started:
        yield started


@pytest.fixture(scope="module")
def api(pooling_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pooling_server.url, timeout=120) as client:
        yield client


def embeddings(api: httpx.Client, given: Any, **fields: Any) -> dict[str, Any]:
    response = api.post("/v1/embeddings", json={"model": "tiny-embed", "input": given, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def vectors(api: httpx.Client, given: Any, **fields: Any) -> list[list[float]]:
    return [entry["embedding"] for entry in embeddings(api, given, **fields)["data"]]


def refusal(api: httpx.Client, path: str, **fields: Any) -> dict[str, Any]:
    response = api.post(path, json=fields)
    assert response.status_code == 400, response.text
    return response.json()["error"]


def ranking(api: httpx.Client, model: str, query: str, **fields: Any) -> dict[str, Any]:
    response = api.post("/v1/rerank", json={"model": model, "query": query, "documents": TEXTS, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def test_a_batch_is_its_single_inputs_and_every_vector_has_length_one(api: httpx.Client) -> None:
    batch = vectors(api, TEXTS)
    assert {len(vector) for vector in batch} == {128}
    for text, vector in zip(TEXTS, batch, strict=True):
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
        [alone] = vectors(api, text)
        assert alone == pytest.approx(vector, abs=1e-5)
    again = vectors(api, TEXTS)
    for one, other in zip(batch, again, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_the_nearest_text_is_the_same_text(api: httpx.Client) -> None:
    batch = vectors(api, [*TEXTS, *TEXTS])
    for place in range(len(TEXTS)):
        others = {index: cosine(batch[place], vector) for index, vector in enumerate(batch) if index != place}
        assert max(others, key=lambda index: others[index]) == place + len(TEXTS)
        assert others[place + len(TEXTS)] == pytest.approx(1, abs=1e-5)


def test_base64_is_float32_of_the_same_numbers(api: httpx.Client) -> None:
    [entry] = embeddings(api, TEXTS[0], encoding_format="base64")["data"]
    decoded = struct.unpack("<128f", base64.b64decode(entry["embedding"]))
    assert [*decoded] == pytest.approx(vectors(api, TEXTS[0])[0], abs=1e-6)


def test_token_ids_are_the_text_that_they_spell(api: httpx.Client) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("models/tiny/weights/tiny-qwen")
    ids = [tokenizer.encode(text) for text in TEXTS]
    answer = embeddings(api, ids)
    assert answer["usage"]["prompt_tokens"] == sum(map(len, ids))
    for entry, vector in zip(answer["data"], vectors(api, TEXTS), strict=True):
        assert entry["embedding"] == pytest.approx(vector, abs=1e-5)
    assert vectors(api, ids[0])[0] == pytest.approx(vectors(api, TEXTS[0])[0], abs=1e-5)
    error = refusal(api, "/v1/embeddings", model="tiny-embed", input=[[1, 2], [1, 100_257]])
    assert error["param"] == "input[1]"
    assert "token ids below 1632" in error["message"]


def test_shorter_vectors_begin_as_the_long_one(api: httpx.Client) -> None:
    [short], [whole] = vectors(api, TEXTS[3], dimensions=32), vectors(api, TEXTS[3], dimensions=128)
    assert len(short) == 32
    assert math.hypot(*short) == pytest.approx(1, abs=1e-5)
    assert cosine(short, whole[:32]) == pytest.approx(1, abs=1e-5)
    error = refusal(api, "/v1/embeddings", model="tiny-embed", input="a", dimensions=33)
    assert (error["param"], error["message"]) == ("dimensions", "Set 'dimensions' to one of 32, 64, 128, not 33.")


def test_too_long_an_input_is_refused_with_both_numbers_or_cut(api: httpx.Client) -> None:
    long = "one two three " * 200
    error = refusal(api, "/v1/embeddings", model="tiny-embed", input=["a", long])
    assert (error["code"], error["param"]) == ("input_too_long", "input[1]")
    assert "the context of 'tiny-embed' holds 512" in error["message"]
    assert embeddings(api, long, truncate_prompt_tokens=-1)["usage"]["prompt_tokens"] == 512
    assert embeddings(api, long, truncate_prompt_tokens=7)["usage"]["prompt_tokens"] == 7


def test_the_openai_client_needs_no_change(pooling_server: Server) -> None:
    with openai.OpenAI(base_url=f"{pooling_server.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.embeddings.create(model="tiny-embed", input=TEXTS)  # asks for base64
        assert [entry.index for entry in answer.data] == [0, 1, 2, 3]
        assert math.hypot(*answer.data[0].embedding) == pytest.approx(1, abs=1e-5)
        tasks = {model.id: model.model_extra["task"] for model in client.models.list()}
        assert tasks == {"tiny-embed": "embed", "tiny-rerank": "rerank"}


def test_vectors_rank_by_their_cosine(api: httpx.Client) -> None:
    answer = ranking(api, "tiny-embed", TEXTS[1], return_documents=True)
    best = answer["results"][0]
    assert (best["index"], best["document"]) == (1, {"text": TEXTS[1]})
    assert best["relevance_score"] == pytest.approx(1, abs=1e-5)
    batch = vectors(api, TEXTS)
    for result in answer["results"]:
        assert result["relevance_score"] == pytest.approx(cosine(batch[1], batch[result["index"]]), abs=1e-4)
    single = embeddings(api, TEXTS)["usage"]["prompt_tokens"]
    query = embeddings(api, TEXTS[1])["usage"]["prompt_tokens"]
    assert answer["usage"]["prompt_tokens"] == single + query


def test_a_cross_encoder_scores_pairs(api: httpx.Client) -> None:
    whole = ranking(api, "tiny-rerank", "What is 3 + 4?")["results"]
    scores = [result["relevance_score"] for result in whole]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) == len(TEXTS)
    best = ranking(api, "tiny-rerank", "What is 3 + 4?", top_n=1)["results"]
    assert [result["index"] for result in best] == [whole[0]["index"]]
    assert best[0]["relevance_score"] == pytest.approx(scores[0], abs=1e-5)
    alone = {}
    for index, text in enumerate(TEXTS):
        [result] = ranking(api, "tiny-rerank", "What is 3 + 4?", documents=[text])["results"]
        alone[index] = result["relevance_score"]
    assert alone == pytest.approx({result["index"]: result["relevance_score"] for result in whole}, abs=1e-5)
    error = refusal(api, "/v1/rerank", model="tiny-rerank", query="a", documents=["b", "one two three " * 200])
    assert (error["code"], error["param"]) == ("input_too_long", "documents[1]")
    fields = {"model": "tiny-rerank", "query": "a", "documents": ["one two three " * 200]}
    assert api.post("/v1/rerank", json={**fields, "max_tokens_per_doc": 50}).status_code == 200


def test_models_are_asked_for_what_they_do(api: httpx.Client) -> None:
    error = refusal(api, "/v1/embeddings", model="tiny-rerank", input="a")
    assert "'tiny-rerank' ranks documents." in error["message"]
    hello = [{"role": "user", "content": "Hello"}]
    error = refusal(api, "/v1/chat/completions", model="tiny-embed", messages=hello)
    assert (error["param"], "'tiny-embed' computes embeddings." in error["message"]) == ("model", True)


def test_a_caller_that_leaves_ends_the_work(pooling_server: Server, api: httpx.Client) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.support.engine_stats",
            pooling_server.gcs_address(),
            "tiny-embed",
        ],
        cwd=ROOT,
        env={**os.environ, "RAY_TMPDIR": str(pooling_server.folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def stats() -> dict[str, int]:
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())["tiny-embed"]

    async def leave() -> None:
        """Send a request, and close the connection while the engine works on it."""
        much = [f"{number % 10} " * 120 for number in range(2000)]
        async with httpx.AsyncClient(base_url=pooling_server.url, timeout=60) as client:
            asked = asyncio.ensure_future(client.post("/v1/embeddings", json={"model": "tiny-embed", "input": much}))
            while not stats()["unfinished_requests"]:
                await asyncio.sleep(0.01)
                assert not asked.done(), asked.result().text
            asked.cancel()
            await asyncio.wait({asked})

    with process:
        before = stats()
        asyncio.run(leave())
        began = time.monotonic()
        while stats()["unfinished_requests"]:
            assert time.monotonic() - began < 10
            time.sleep(0.1)
        assert stats()["aborted_requests"] > before["aborted_requests"]
        process.terminate()
    assert len(vectors(api, "still there")) == 1

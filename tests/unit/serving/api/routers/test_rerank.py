"""`POST /v1/rerank`: documents in, their order by relevance out, as Jina's and Cohere's clients read it."""

from typing import Any

import httpx
import pytest

from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.pooling import RerankRequest
from tests.support.api import client_of, status_and_code
from tests.support.pooling import pooling_app

DOCUMENTS = ["a cat on a mat", "rain tomorrow", "the cat sat"]


@pytest.fixture(params=["rerank", "embed"])
def engine(request: pytest.FixtureRequest) -> ScriptedPoolingEngine:
    return ScriptedPoolingEngine("r", request.param, dimensions=256, context_tokens=20)


async def rank(engine: ScriptedPoolingEngine, *, path: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    body = {"model": "r", "query": "the cat sat", "documents": DOCUMENTS, **fields}
    async with client_of(pooling_app({"r": engine}, max_inputs=3, max_input_chars=40)) as client:
        return await client.post(path, json={name: value for name, value in body.items() if value is not ...})


async def test_results_are_sorted_and_say_where_the_document_was(engine: ScriptedPoolingEngine) -> None:
    answer = (await rank(engine)).json()
    assert [result["index"] for result in answer["results"]] == [2, 0, 1]
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1)
    assert all("document" not in result for result in answer["results"])
    assert answer["model"] == "r"
    assert answer["usage"] == {"prompt_tokens": 13, "total_tokens": 13}
    assert answer["id"].startswith("rerank-")


@pytest.mark.parametrize(("top_n", "found"), [(1, [2]), (2, [2, 0]), (9, [2, 0, 1]), (None, [2, 0, 1])])
async def test_top_n_are_the_best(engine: ScriptedPoolingEngine, top_n: int | None, found: list[int]) -> None:
    assert [result["index"] for result in (await rank(engine, top_n=top_n)).json()["results"]] == found


async def test_documents_are_returned_if_asked_for(engine: ScriptedPoolingEngine) -> None:
    documents = [{"text": DOCUMENTS[0]}, {"text": DOCUMENTS[1], "title": None}, DOCUMENTS[2]]
    results = (await rank(engine, documents=documents, return_documents=True)).json()["results"]
    assert [result["document"] for result in results] == [{"text": DOCUMENTS[index]} for index in (2, 0, 1)]


async def test_equal_documents_keep_their_order(engine: ScriptedPoolingEngine) -> None:
    results = (await rank(engine, documents=["b", "the cat sat", "b"])).json()["results"]
    assert [result["index"] for result in results] == [1, 0, 2]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
async def test_clients_find_it_under_three_paths(engine: ScriptedPoolingEngine, path: str) -> None:
    fields = {
        "max_tokens_per_doc": 2,
        "truncate_prompt_tokens": -1,
        "priority": 1,
        "user": "u",
        "rank_fields": ["text"],
    }
    assert (await rank(engine, path=path, **fields)).status_code == 200
    [request] = engine.requests
    assert isinstance(request, RerankRequest)
    assert (request.document_tokens, request.truncate_tokens, request.priority, request.user) == (2, -1, 1, "u")
    async with client_of(pooling_app({"r": engine}, api_key="key")) as client:
        assert status_and_code(await client.post(path, json={})) == (401, "invalid_api_key")


async def test_too_long_a_document_is_refused_with_both_numbers(engine: ScriptedPoolingEngine) -> None:
    engine.context_tokens = 4
    refused = await rank(engine)
    assert status_and_code(refused) == (400, "input_too_long")
    assert refused.json()["error"]["param"] == "documents[0]"
    assert "it has 5 tokens, but the context of 'r' holds 4" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "sentence", "param"),
    [
        ({"query": ...}, "Set 'query': it is required.", "query"),
        ({"query": ""}, "Give 'query' at least 1 character.", "query"),
        ({"query": "a" * 41}, "Shorten 'query': it has 41 characters, at most 40 are accepted.", "query"),
        ({"documents": ...}, "Set 'documents': it is required.", "documents"),
        ({"documents": "a"}, "Set 'documents' to a list of strings, not a string.", "documents"),
        ({"documents": []}, "Give 'documents' at least 1 entry.", "documents"),
        ({"documents": ["a"] * 4}, "Shorten 'documents': it has 4 entries, at most 3 are accepted.", "documents"),
        ({"documents": ["a", 3]}, "'documents[1]' to a string or an object with 'text', not a", "documents[1]"),
        ({"documents": [{}]}, "Set 'documents[0].text': it is required.", "documents[0].text"),
        ({"documents": [{"text": 1}]}, "Set 'documents[0].text' to a string", "documents[0].text"),
        ({"documents": [{"text": "a", "title": "b"}]}, "a document has only 'text'", "documents[0].title"),
        ({"top_n": 0}, "Set 'top_n' to at least 1, not 0.", "top_n"),
        ({"max_chunks_per_doc": 2}, "Remove 'max_chunks_per_doc'", "max_chunks_per_doc"),
        ({"texts": ["a"]}, "Remove 'texts': there is no such field", "texts"),
        ({"truncate_prompt_tokens": 0}, "Set 'truncate_prompt_tokens' to at least 1", "truncate_prompt_tokens"),
    ],
)
async def test_what_is_wrong_is_named(
    engine: ScriptedPoolingEngine, fields: dict[str, Any], sentence: str, param: str
) -> None:
    refused = await rank(engine, **fields)
    assert refused.status_code == 400
    assert sentence in refused.json()["error"]["message"]
    assert refused.json()["error"]["param"] == param
    assert engine.requests == []


async def test_a_generating_model_does_not_rank(engine: ScriptedPoolingEngine) -> None:
    refused = await rank(engine, model="m")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == (
        "Set 'model' to one that ranks documents or computes embeddings (r): 'm' generates text."
    )

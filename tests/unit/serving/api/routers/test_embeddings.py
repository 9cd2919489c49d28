"""`POST /v1/embeddings`: inputs in, vectors out, in OpenAI's format."""

import asyncio
import base64
import json
import logging
import struct
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.api.dialects import embeddings_answers
from serving.cards import ModelCard
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.errors import ConfigError, EngineFailed
from serving.pooling import EmbedRequest
from serving.telemetry import Observer, RequestEnd
from serving.usage import TokenUsage
from tests.support.api import client_of, get, status_and_code
from tests.support.clock import simulated_time
from tests.support.pooling import pooling_app


@pytest.fixture
def engine() -> ScriptedPoolingEngine:
    return ScriptedPoolingEngine("e", context_tokens=5)


async def post(app: ASGIApp, **fields: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.post("/v1/embeddings", json={"model": "e", **fields})


async def embed(engine: ScriptedPoolingEngine, **fields: Any) -> httpx.Response:
    return await post(pooling_app({"e": engine, "r": ScriptedPoolingEngine("r", "rerank")}, max_inputs=3), **fields)


async def test_vectors_come_in_the_order_of_the_inputs(engine: ScriptedPoolingEngine) -> None:
    answer = (await embed(engine, input=["a b", "c", "a b"], user="someone", priority=3)).json()
    vectors = [entry["embedding"] for entry in answer["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(value * value for value in vectors[0]) == pytest.approx(1)
    assert [(entry["object"], entry["index"]) for entry in answer["data"]] == [("embedding", n) for n in range(3)]
    assert (answer["object"], answer["model"]) == ("list", "e")
    assert answer["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    [request] = engine.requests
    assert (request.priority, request.user, request.deadline_s) == (3, "someone", 600.0)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("one two", ("one two",)),
        (["one", "two"], ("one", "two")),
        ([7, 8.0], ((7, 8),)),
        ([[7, 8], [9]], ((7, 8), (9,))),
    ],
)
async def test_an_input_has_four_forms(engine: ScriptedPoolingEngine, given: Any, inputs: tuple[Any, ...]) -> None:
    assert (await embed(engine, input=given, dimensions=None, encoding_format=None)).status_code == 200
    [request] = engine.requests
    assert isinstance(request, EmbedRequest)
    assert request.inputs == inputs
    assert (request.dimensions, request.truncate_tokens) == (None, None)


async def test_base64_is_the_same_vector_as_float32(
    engine: ScriptedPoolingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings_answers, "PAUSE_BYTES", 1)  # other requests get their turn after each vector
    inputs = ["a b c", "d"]
    numbers = (await embed(engine, input=inputs)).json()["data"]
    encoded = (await embed(engine, input=inputs, encoding_format="base64")).json()["data"]
    for number, code in zip(numbers, encoded, strict=True):
        assert [*struct.unpack("<8f", base64.b64decode(code["embedding"]))] == number["embedding"]


async def test_shorter_vectors_are_the_models_to_give(engine: ScriptedPoolingEngine) -> None:
    assert (await embed(engine, input="a", dimensions=8)).status_code == 200
    refused = await embed(engine, input="a", dimensions=2)
    assert status_and_code(refused) == (400, "unsupported_field")
    assert refused.json()["error"]["param"] == "dimensions"
    engine.matryoshka = True
    [entry] = (await embed(engine, input="a b c", dimensions=2)).json()["data"]
    assert len(entry["embedding"]) == 2
    refused = await embed(engine, input="a", dimensions=9)
    assert refused.json()["error"]["message"] == "Set 'dimensions' to at most 8, not 9."


async def test_too_long_an_input_is_refused_with_both_numbers_or_cut(engine: ScriptedPoolingEngine) -> None:
    refused = await embed(engine, input=["a", "a b c d e f"])
    assert status_and_code(refused) == (400, "input_too_long")
    error = refused.json()["error"]
    assert error["param"] == "input[1]"
    assert "it has 6 tokens, but the context of 'e' holds 5" in error["message"]
    for cut, tokens in ((-1, 6), (2, 3)):
        answer = await embed(engine, input=["a", "a b c d e f"], truncate_prompt_tokens=cut)
        assert answer.json()["usage"]["prompt_tokens"] == tokens
    still = await embed(engine, input="a b c d e f g", truncate_prompt_tokens=6)
    assert status_and_code(still) == (400, "input_too_long")


@pytest.mark.parametrize(
    ("fields", "sentence", "param"),
    [
        ({}, "Set 'input': it is required.", "input"),
        ({"input": None}, "Set 'input': it is required.", "input"),
        ({"input": 3}, "Set 'input' to a string or a list, not a number.", "input"),
        ({"input": ""}, "Give 'input' at least 1 character.", "input"),
        ({"input": []}, "Give 'input' at least 1 entry.", "input"),
        ({"input": ["a", None]}, "Set 'input[1]' to a string, not null.", "input[1]"),
        ({"input": ["a", [1]]}, "Set 'input[1]' to a string, not a list.", "input[1]"),
        ({"input": [True]}, "Set 'input[0]' to a string, not true.", "input[0]"),
        ({"input": [1, True]}, "Set 'input[1]' to a token id, not true.", "input[1]"),
        ({"input": [1, -1]}, "Set 'input[1]' to a token id, 0 or more, not -1.", "input[1]"),
        ({"input": [1, 2.5]}, "Set 'input[1]' to a token id, not 2.5.", "input[1]"),
        ({"input": [[1], []]}, "Give 'input[1]' at least one token.", "input[1]"),
        ({"input": [[1], "a"]}, "Set 'input[1]' to a list of token ids, not a string.", "input[1]"),
        ({"input": ["a"] * 4}, "Shorten 'input': it has 4 entries, at most 3 are accepted.", "input"),
        ({"input": "a", "encoding_format": "bytes"}, "Set 'encoding_format' to 'float' or 'base64'", "encoding_format"),
        ({"input": "a", "dimensions": 0}, "Set 'dimensions' to at least 1, not 0.", "dimensions"),
        ({"input": "a", "truncate_prompt_tokens": 0}, "to at least 1, or to -1", "truncate_prompt_tokens"),
        ({"input": "a", "input_type": "query"}, "Remove 'input_type': there is no such field", "input_type"),
        ({"input": "a", "add_special_tokens": False}, "Remove 'add_special_tokens'", "add_special_tokens"),
        ({"input": "a", "model": "x"}, "There is no model 'x'; choose one of: m, e, r.", "model"),
    ],
)
async def test_what_is_wrong_is_named(
    engine: ScriptedPoolingEngine, fields: dict[str, Any], sentence: str, param: str
) -> None:
    refused = await embed(engine, **fields)
    assert refused.status_code in (400, 404)
    assert sentence in refused.json()["error"]["message"]
    assert refused.json()["error"]["param"] == param
    assert engine.requests == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["abc", "abcd"], "Shorten 'input[1]': it has 4 characters, at most 3 are accepted."),
        ([[1, 2], [1, 2, 3, 4]], "Shorten 'input[1]': it has 4 token ids, at most 3 are accepted."),
    ],
)
async def test_the_operator_bounds_each_input(engine: ScriptedPoolingEngine, given: Any, sentence: str) -> None:
    refused = await post(pooling_app({"e": engine}, max_input_chars=3), input=given)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, sentence)


async def test_a_model_is_asked_for_what_it_does(engine: ScriptedPoolingEngine) -> None:
    chatting = await embed(engine, model="m", input="a")
    assert chatting.status_code == 400
    assert chatting.json()["error"]["message"] == (
        "Set 'model' to one that computes embeddings (e): 'm' generates text."
    )
    assert "'r' ranks documents." in (await embed(engine, model="r", input="a")).json()["error"]["message"]
    app = pooling_app({"e": engine})
    hello = {"model": "e", "messages": [{"role": "user", "content": "Hello"}]}
    async with client_of(app) as client:
        for path, body in (
            ("/v1/chat/completions", hello),
            ("/v1/responses", {"model": "e", "input": "Hello"}),
            ("/v1/messages", {**hello, "max_tokens": 5}),
            ("/v1/messages/count_tokens", hello),
        ):
            refused = await client.post(path, json=body)
            assert refused.status_code == 400, path
            assert refused.json()["error"]["message"] == (
                "Set 'model' to one that generates text (m): 'e' computes embeddings."
            )
    none = await post(pooling_app({}), model="m", input="a")
    assert "one that computes embeddings (none here)" in none.json()["error"]["message"]


async def test_models_say_their_task(engine: ScriptedPoolingEngine) -> None:
    app = pooling_app({"e": engine, "r": ScriptedPoolingEngine("r", "rerank")})
    cards = (await get(app, "/v1/models")).json()["data"]
    assert [(card["id"], card["task"], card["max_model_len"]) for card in cards] == [
        ("m", "generate", 1_000_000),
        ("e", "embed", 5),
        ("r", "rerank", 1_000_000),
    ]
    assert (await get(app, "/v1/models/e")).json()["task"] == "embed"
    engine.healthy = False
    ready = await get(app, "/ready")
    assert (ready.status_code, [*ready.json()["failing"]]) == (503, ["e"])


async def test_a_server_without_a_generating_model(engine: ScriptedPoolingEngine) -> None:
    app = pooling_app({"e": engine}, chats=False)
    assert (await post(app, input="a")).status_code == 200
    schemas = (await get(app, "/openapi.json")).json()["components"]["schemas"]
    assert schemas["EmbeddingsBody"]["properties"]["model"]["enum"] == ["e"]
    assert "enum" not in schemas["ChatBody"]["properties"]["model"]


async def test_the_description_has_the_operators_limits(engine: ScriptedPoolingEngine) -> None:
    app = pooling_app({"e": engine, "r": ScriptedPoolingEngine("r", "rerank")}, max_inputs=3)
    schemas = (await get(app, "/openapi.json")).json()["components"]["schemas"]
    texts = [one.get("maxItems") for one in schemas["EmbeddingsBody"]["properties"]["input"]["anyOf"]]
    assert texts == [None, None, 3, 3], "a text, token ids, texts, lists of token ids"
    ranked = schemas["RerankBody"]["properties"]
    assert (ranked["model"]["enum"], ranked["documents"]["maxItems"]) == (["e", "r"], 3)
    assert schemas["ChatBody"]["properties"]["model"]["enum"] == ["m"]


def test_a_card_says_the_task_of_its_engine(engine: ScriptedPoolingEngine) -> None:
    with pytest.raises(ConfigError, match="Set the task of the model card 'e' to 'embed'"):
        create_app({}, [ModelCard("e", "model")], ApiSettings(), pooling={"e": engine})


class RecordingObserver(Observer):
    def __init__(self) -> None:
        self.running: list[str] = []
        self.ended: list[RequestEnd] = []
        self.refused: list[str] = []
        self.started = asyncio.Event()

    def request_refused(self, code: str) -> None:
        self.refused.append(code)

    def request_started(self, model: str) -> None:
        self.running.append(model)
        self.started.set()

    def request_ended(self, end: RequestEnd) -> None:
        self.running.remove(end.model)
        self.ended.append(end)


async def test_requests_are_observed_and_logged(
    engine: ScriptedPoolingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    observer = RecordingObserver()
    app = pooling_app({"e": engine}, observer=observer, log_requests=True)
    answer = await post(app, input=["my secret", "b"], user="someone")
    engine.error = EngineFailed("e", "it broke")
    assert status_and_code(await post(app, input="a")) == (502, "engine_failed")
    assert (await post(app, input=3)).status_code == 400
    assert [(end.model, end.kind, end.outcome, end.usage, end.ttft_s) for end in observer.ended] == [
        ("e", "model", "ok", TokenUsage(3), None),
        ("e", "model", "engine_failed", None, None),
    ]
    assert (observer.running, observer.refused) == ([], ["invalid_request"])
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "serving.requests"]
    assert [(line["outcome"], line["usage"]["prompt_tokens"], line["user"]) for line in lines] == [
        ("ok", 3, "someone"),
        ("engine_failed", None, None),
    ]
    assert lines[0]["id"] == answer.json()["id"]
    assert "secret" not in caplog.text
    logging.getLogger("serving.requests").setLevel(logging.NOTSET)


async def test_a_caller_that_leaves_ends_the_work(engine: ScriptedPoolingEngine) -> None:
    engine.delay_s = 60
    observer = RecordingObserver()
    asking = asyncio.create_task(post(pooling_app({"e": engine}, observer=observer), input="a"))
    await observer.started.wait()
    assert engine.running == 1
    asking.cancel()
    await asyncio.wait({asking})
    assert engine.running == 0
    assert [end.outcome for end in observer.ended] == ["cancelled"]


@simulated_time
async def test_limits_are_those_of_all_requests(engine: ScriptedPoolingEngine) -> None:
    engine.delay_s = 0.05
    app = pooling_app({"e": engine}, max_in_flight=1, api_key="key", deadline_s=60)
    assert status_and_code(await post(app, input="a")) == (401, "invalid_api_key")
    async with client_of(app, authorization="Bearer key") as client:
        body = {"model": "e", "input": "a"}
        both = await asyncio.gather(*(client.post("/v1/embeddings", json=body) for _ in range(2)))
        assert sorted(response.status_code for response in both) == [200, 429]
        assert (await client.get("/v1/embeddings")).status_code == 405
    late = await post(pooling_app({"e": engine}, deadline_s=0.001), input="a")
    assert status_and_code(late) == (504, "deadline_exceeded")

"""`POST /v1/completions` over scripted engines: models and recipes, whole and streamed."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest
from tests.support.api import app_of, chunks, client_of, running, status_and_code
from tests.support.waiting import until

PROMPT = "One two three"


async def ask(app: ASGIApp, **fields: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.post("/v1/completions", json={"model": "m", "prompt": PROMPT, **fields})


def choices(response: httpx.Response) -> list[dict[str, Any]]:
    """Choices of an answer, whole or put together from the chunks of a stream."""
    if response.headers["content-type"] == "application/json":
        return response.json()["choices"]
    found: dict[int, dict[str, Any]] = {}
    *sent, done = chunks(response)
    assert done == "[DONE]"
    for piece in (choice for chunk in sent for choice in chunk["choices"]):
        choice = found.setdefault(piece["index"], {"index": piece["index"], "text": "", "logprobs": None})
        choice["text"] += piece["text"]
        choice["finish_reason"] = piece["finish_reason"]
        for name, values in (piece["logprobs"] or {}).items():
            choice["logprobs"] = choice["logprobs"] or {}
            choice["logprobs"][name] = choice["logprobs"].get(name, []) + values
    return [found[index] for index in sorted(found)]


def said(request: GenerateRequest) -> str:
    return "four five" if request.prompt is None else f"after {request.prompt.content}"


async def test_the_model_reads_the_prompt_as_it_is() -> None:
    engine = ScriptedEngine("m", "four five")
    answer = (await ask(app_of({"m": engine}))).json()
    assert answer["id"].startswith("cmpl-")
    assert (answer["object"], answer["model"]) == ("text_completion", "m")
    assert answer["choices"] == [{"index": 0, "text": "four five", "logprobs": None, "finish_reason": "stop"}]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (3, 2)
    (request,) = engine.requests
    assert (request.messages, request.prompt.content, request.streaming) == ((), PROMPT, False)


@pytest.mark.parametrize("stream", [False, True])
async def test_several_prompts_times_n(stream: bool) -> None:
    engine = ScriptedEngine("m", said)
    response = await ask(app_of({"m": engine}), prompt=["a", "b c"], n=2, stream=stream)
    assert [(choice["index"], choice["text"], choice["finish_reason"]) for choice in choices(response)] == [
        (0, "after a", "stop"),
        (1, "after a", "stop"),
        (2, "after b c", "stop"),
        (3, "after b c", "stop"),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_echo_begins_with_the_prompts_logprobs(stream: bool) -> None:
    engine = ScriptedEngine("m", "four", logprob=-0.25)
    (choice,) = choices(await ask(app_of({"m": engine}), echo=True, logprobs=1, stream=stream))
    assert choice == {
        "index": 0,
        "text": "One two threefour",
        "logprobs": {
            "tokens": ["One", " two", " three", "four"],
            "token_logprobs": [None, -0.25, -0.25, -0.25],
            "top_logprobs": [None, {" two": -0.25}, {" three": -0.25}, {"four": -0.25}],
            "text_offset": [0, 3, 7, 13],
        },
        "finish_reason": "stop",
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_zero_tokens_score_token_prompts(stream: bool) -> None:
    engine = ScriptedEngine("m", "never said", logprob=-2.0)
    ids = engine.tokenizer.encode(PROMPT)
    response = await ask(
        app_of({"m": engine}),
        prompt=[ids, ids[:2]],
        echo=True,
        logprobs=0,
        max_tokens=0,
        stream=stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
    )
    first, second = choices(response)
    assert (first["text"], second["text"]) == (PROMPT, "One two")
    assert first["logprobs"]["token_logprobs"] == [None, -2.0, -2.0]
    assert (first["finish_reason"], second["finish_reason"]) == ("length", "length")
    usage = (chunks(response)[-2] if stream else response.json())["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (5, 0)


async def test_a_stream_is_text_finish_usage_done() -> None:
    app = app_of({"m": ScriptedEngine("m", "four five")})
    response = await ask(app, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *pieces, usage, done = chunks(response)
    assert [piece["choices"][0]["text"] for piece in pieces] == ["four", " five", ""]
    assert [piece["usage"] for piece in pieces] == [None, None, None]
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 5, "[DONE]")
    assert len({chunk["id"] for chunk in (*pieces, usage)}) == 1


def team(**engines: ScriptedEngine) -> ASGIApp:
    models = {name: ScriptedEngine(name, f"{name} says it") for name in "abc"} | engines
    recipes = load_recipes(["moa-lite"], {"proposers": ["a", "b", "c"], "aggregator": "a"})
    orchestrator = Orchestrator(models, recipes)
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_recipe_answers_texts_and_says_what_was_missing(stream: bool) -> None:
    failing = ScriptedEngine("b", error=EngineFailed("b", "out of memory"))
    aggregator = ScriptedEngine("a", "a says it")
    app = team(a=aggregator, b=failing)
    response = await ask(app, model="moa-lite", prompt=["x", "y"], stream=stream)
    assert [choice["text"] for choice in choices(response)] == ["a says it", "a says it"]
    moa = (chunks(response)[-2] if stream else response.json())["moa"]
    assert (moa["degraded"], "trace" in moa) == (True, False)
    assert [reason[:11] for reason in moa["reasons"]] == ["prompt[0]: ", "prompt[1]: "]
    assert stream or response.headers["x-moa-degraded"] == "true"
    assert {request.messages[-1].content for request in aggregator.requests} == {"x", "y"}
    traced = (await ask(app, model="moa-lite", moa={"trace": True})).json()
    assert [layer["layer"] for layer in traced["moa"]["trace"]] == [1, 2]
    refused = await ask(app, model="moa-lite", echo=True)
    assert refused.json()["error"]["param"] == "echo"


async def test_a_prompt_that_is_too_long_is_named_with_both_numbers() -> None:
    engine = ScriptedEngine("m", context_tokens=20)
    response = await ask(app_of({"m": engine}), prompt=["a", PROMPT], max_tokens=18)
    assert status_and_code(response) == (400, "context_length_exceeded")
    error = response.json()["error"]
    assert error["param"] == "prompt[1]"
    assert error["message"] == (
        "The prompt has 3 tokens and max_tokens asks for 18 more, but the context of 'm' holds 20 tokens;"
        " shorten 'prompt[1]' or lower max_tokens."
    )


@pytest.mark.parametrize(
    ("prompt", "param", "sentence"),
    [
        ([0, 99], "prompt[1]", "Set 'prompt[1]' to a token id, 0 to 3, not 99."),
        ([[0], [1, 7]], "prompt[1][1]", "Set 'prompt[1][1]' to a token id, 0 to 3, not 7."),
        ("", "prompt", "Give 'prompt' at least one token."),
    ],
)
async def test_the_engine_refuses_what_its_vocabulary_lacks(prompt: Any, param: str, sentence: str) -> None:
    response = await ask(app_of({"m": ScriptedEngine("m")}), prompt=prompt)
    assert status_and_code(response) == (400, "invalid_request")
    error = response.json()["error"]
    assert (error["param"], error["message"]) == (param, sentence)


async def test_a_failure_within_a_stream_ends_it_with_an_error() -> None:
    engine = ScriptedEngine("m", "four five", error=EngineFailed("m", "it broke"), fail_after=1)
    first, error, done = chunks(await ask(app_of({"m": engine}), stream=True))
    assert first["choices"][0]["text"] == "four"
    assert (error["error"]["code"], done) == ("engine_failed", "[DONE]")


async def test_each_prompt_counts_as_a_request_in_progress() -> None:
    engine = ScriptedEngine("m", hang=True)
    app = app_of({"m": engine}, max_in_flight=3)
    asking = asyncio.ensure_future(ask(app, prompt=["a"] * 4))
    while engine.running < 4:  # noqa: ASYNC110 - engines have no event to wait for
        await asyncio.sleep(0)
    assert status_and_code(await ask(app)) == (429, "overloaded")
    asking.cancel()
    await asyncio.wait([asking])
    while engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0)
    engine.hang = False
    assert (await ask(app)).status_code == 200


async def test_a_client_that_leaves_ends_the_work_on_all_prompts() -> None:
    engine = ScriptedEngine("m", "word " * 1000, itl_s=0.01)
    async with running(app_of({"m": engine})) as url, httpx.AsyncClient(base_url=url) as client:
        body = {"model": "m", "prompt": ["a", "b", "c"], "stream": True, "max_tokens": 1000}
        async with client.stream("POST", "/v1/completions", json=body) as response:
            async for _ in response.aiter_lines():
                break
            await until(lambda: engine.running == 3)
        await until(lambda: not engine.running)
    assert engine.cancelled == 3


async def test_a_key_is_required() -> None:
    app = app_of({"m": ScriptedEngine("m")}, api_key="key")
    assert status_and_code(await ask(app)) == (401, "invalid_api_key")

"""Images in the three dialects: the same conversation for the engine, the same sentence for what is wrong."""

from typing import Any

import pytest

from serving.api import ApiSettings, create_app
from serving.api.dialects.image_parts import joined
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.api import app_of, ask, chunks, client_of
from tests.support.images import PNG, PNG_URL, file_of, image, url_of

BASE64 = PNG_URL.partition(",")[2]
TEXT = "What is it?"
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


def seeing(**options: Any) -> ScriptedEngine:
    return ScriptedEngine("m", "Red", modalities=("text", "image"), tools=True, **options)


async def post(engine: ScriptedEngine, path: str, settings: dict[str, Any] | None = None, **body: Any) -> Any:
    async with client_of(app_of({"m": engine}, **(settings or {}))) as client:
        return await client.post(path, json={"model": "m", **body})


def chat_part(url: str = PNG_URL) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def response_part(url: str = PNG_URL) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, "detail": "low"}


def block(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source or {"type": "base64", "media_type": "image/png", "data": BASE64}}


ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": [chat_part(), {"type": "text", "text": TEXT}]}]},
    RESPONSES: {
        "input": [{"role": "user", "content": [response_part(), {"type": "input_text", "text": TEXT}]}],
    },
    MESSAGES: {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [block(), {"type": "text", "text": TEXT}]}],
    },
}
LOOP: dict[str, dict[str, Any]] = {
    CHAT: {
        "messages": [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": [chat_part(), {"type": "text", "text": TEXT}]},
        ]
    },
    RESPONSES: {
        "input": [
            {"role": "user", "content": "Look."},
            {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [response_part(), {"type": "input_text", "text": TEXT}],
            },
        ]
    },
    MESSAGES: {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "look", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_1",
                        "content": [block(type="url", url=PNG_URL), {"type": "text", "text": TEXT}],
                    }
                ],
            },
        ],
    },
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKED)
async def test_an_image_of_a_user_reaches_the_engine(path: str, stream: bool) -> None:
    engine = seeing()
    response = await post(engine, path, stream=stream, **ASKED[path])
    assert response.status_code == 200
    assert "Red" in response.text
    [message] = engine.requests[0].messages
    assert message.content == f"[image]{TEXT}"
    [found] = message.images
    assert (found.data, found.media_type, found.offset) == (PNG, "image/png", 0)
    assert found.detail == (None if path == MESSAGES else "low")


@pytest.mark.parametrize("path", LOOP)
async def test_an_image_of_a_tools_result_reaches_the_engine(path: str) -> None:
    engine = seeing()
    assert (await post(engine, path, **LOOP[path])).status_code == 200
    *_, result = engine.requests[0].messages
    assert (result.role, result.content, result.tool_call_id) == ("tool", f"[image]{TEXT}", "call_1")
    assert [one.data for one in result.images] == [PNG]


async def test_a_failed_result_with_an_image_keeps_its_place() -> None:
    engine = seeing()
    body = LOOP[MESSAGES]
    *before, last = body["messages"]
    failed = {**last, "content": [{**last["content"][0], "is_error": True}]}
    await post(engine, MESSAGES, **{**body, "messages": [*before, failed]})
    result = engine.requests[0].messages[-1]
    assert result.content == f"Error: [image]{TEXT}"
    assert [one.offset for one in result.images] == [len("Error: ")]


@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [chat_part("data:x")]}]}, "image_url.url", "Write"),
        (RESPONSES, {"input": [{"role": "user", "content": [response_part("data:x")]}]}, "image_url", "Write"),
        (
            MESSAGES,
            {"max_tokens": 9, "messages": [{"role": "user", "content": [block(type="url", url="data:x")]}]},
            "source.url",
            "Write",
        ),
        (
            MESSAGES,
            {
                "max_tokens": 9,
                "messages": [{"role": "user", "content": [block(type="base64", media_type="image/gif", data=BASE64)]}],
            },
            "source.data",
            "it says image/gif, but its data is image/png",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [chat_part("https://a.org/a.png")]}]},
            "image_url.url",
            "images are not fetched from 'a.org' (allowed hosts: none)",
        ),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image_url", "it is required"),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 3}}]}]},
            "image_url.url",
            "a string",
        ),
        (
            CHAT,
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "9"}}]}
                ]
            },
            "image_url.detail",
            "'auto', 'low', 'high' or 'original'",
        ),
    ],
)
async def test_what_is_wrong_with_an_image_is_said_with_its_path(
    path: str, body: dict[str, Any], param: str, words: str
) -> None:
    engine = seeing()
    response = await post(engine, path, **body)
    assert response.status_code == 400
    error = response.json()["error"]
    field = "input" if path == RESPONSES else "messages"
    assert error["param"] == f"{field}[0].content[0].{param}"
    assert words in error["message"]
    assert not engine.requests


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
async def test_images_are_of_users_and_tools(role: str) -> None:
    messages = [{"role": role, "content": [chat_part()]}, {"role": "user", "content": "Hi"}]
    error = (await post(seeing(), CHAT, messages=messages)).json()["error"]
    assert error["param"] == "messages[0].content[0].type"
    assert f"content parts of the role '{role}' and of the type 'image_url' are not supported" in error["message"]
    items = [{"role": role, "content": [response_part()]}, {"role": "user", "content": "Hi"}]
    error = (await post(seeing(), RESPONSES, input=items)).json()["error"]
    assert error["param"] == "input[0].content[0].type"


async def test_too_many_images_are_refused_with_the_first_that_is_too_much() -> None:
    parts = [chat_part()] * 3
    body = {"messages": [{"role": "user", "content": parts}]}
    response = await post(seeing(), CHAT, {"images": {"max_images": 2}}, **body)
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("messages[0].content[2]", "invalid_request")
    assert error["message"] == "Remove 'messages[0].content[2]': a request may have at most 2 images."


async def test_an_image_may_be_a_plain_string() -> None:
    engine = seeing()
    parts = [{"type": "image_url", "image_url": PNG_URL}]
    assert (await post(engine, CHAT, messages=[{"role": "user", "content": parts}])).status_code == 200
    assert engine.requests[0].messages[0].images[0].detail is None


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_says_who_saw_the_image(stream: bool) -> None:
    engines = {"a": seeing(), "b": ScriptedEngine("b", "I read")}
    orchestrator = Orchestrator(engines, load_recipes([{"id": "team", "layers": [["a"]], "aggregator": "b"}]))
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    response = await ask(app, model="team", stream=stream, moa={"trace": True}, **ASKED[CHAT])
    moa = chunks(response)[-2]["moa"] if stream else response.json()["moa"]
    assert moa["reasons"] == ["The request's image: shown to 'a'; 'b' read [image] instead."]
    assert moa["degraded"] is False
    agents = [agent for layer in moa["trace"] for agent in layer["agents"]]
    assert [(agent["model"], agent.get("images")) for agent in agents] == [("a", 1), ("b", None)]
    blind = await ask(app, model="b", **ASKED[CHAT])
    assert blind.headers["x-moa-degraded"] == "true"
    assert "no model that was asked can see" in blind.json()["moa"]["reasons"][0]


async def test_tokens_are_counted_with_images() -> None:
    body = {name: value for name, value in ASKED[MESSAGES].items() if name != "max_tokens"}
    response = await post(seeing(), f"{MESSAGES}/count_tokens", **body)
    assert response.json()["input_tokens"] > 0


async def test_the_beginning_of_a_conversation_is_known_by_its_image() -> None:
    engine = seeing()
    for color in ("red", "red", "blue"):
        content = [chat_part(url_of(file_of(color=color))), {"type": "text", "text": TEXT}]
        await post(engine, CHAT, messages=[{"role": "user", "content": content}])
    first, again, other = (request.session for request in engine.requests)
    assert first is not None
    assert first == again != other


def test_a_separator_is_put_between_texts_only() -> None:
    text, images = joined(["a", "b", image(), image(), "c", "d"], "\n")
    assert text == "a\nb[image][image]c\nd"
    assert [one.offset for one in images] == [3, 10]
    assert joined([], "\n") == ("", ())

"""`POST /tokenize` and `POST /detokenize` over scripted engines."""

from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from serving.conversation import Modality
from serving.engine import EngineInfo
from serving.engines.model import ModelEngine
from serving.engines.observed import ObservedEngine
from serving.engines.scripted import ScriptedEngine
from serving.runtime.shared_state import Runtime
from serving.telemetry import Observer
from serving.types import GenerateRequest, Tokens
from tests.support.api import HandEngine, app_of, client_of, status_and_code
from tests.support.images import PNG, PNG_URL

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]


async def post(app: ASGIApp, path: str, **fields: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.post(path, json={"model": "m", **fields})


def served(engine: ScriptedEngine) -> ASGIApp:
    """An app with all layers around `engine` that a server has."""
    return app_of({"m": ObservedEngine("m", "model", ModelEngine("m", engine, Runtime({})), Observer())})


async def test_there_and_back() -> None:
    app = served(ScriptedEngine("m", context_tokens=77))
    answer = (await post(app, "/tokenize", prompt="One two One")).json()
    assert answer == {"count": 3, "max_model_len": 77, "tokens": [4, 5, 6], "token_strs": None}
    assert (await post(app, "/detokenize", tokens=answer["tokens"])).json() == {"prompt": "One two One"}
    with_texts = (await post(app, "/tokenize", prompt="One two", return_token_strs=True)).json()
    assert (with_texts["tokens"], with_texts["token_strs"]) == ([4, 5], ["One", " two"])


async def test_nothing_has_no_tokens() -> None:
    app = served(ScriptedEngine("m"))
    assert (await post(app, "/tokenize", prompt="")).json()["count"] == 0
    assert (await post(app, "/detokenize", tokens=[])).json() == {"prompt": ""}


async def test_a_conversation_has_as_many_tokens_as_its_prompt() -> None:
    engine = ScriptedEngine("m")
    app = served(engine)
    count = (await post(app, "/tokenize", messages=MESSAGES)).json()["count"]
    usage = (await post(app, "/v1/chat/completions", messages=MESSAGES)).json()["usage"]
    assert count == usage["prompt_tokens"] == 2 * 4 + 3


class Recorder(HandEngine):
    """Keeps what it is asked to tokenize."""

    info = EngineInfo(tools=True, raw_prompts=True)

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        self.asked_for = (request, texts)
        return Tokens((1,), 8, ("a\ud800",) if texts else None)


@pytest.mark.parametrize("modalities", [("text",), ("text", "image")])
async def test_an_image_is_seen_or_read_as_a_word(modalities: tuple[Modality, ...]) -> None:
    engine = ScriptedEngine("m", modalities=modalities)
    parts = [{"type": "image_url", "image_url": {"url": PNG_URL}}]
    response = await post(served(engine), "/tokenize", messages=[{"role": "user", "content": parts}])
    assert response.status_code == 200
    assert response.json()["count"] > 0


async def test_each_field_reaches_the_engine() -> None:
    engine = Recorder()
    app = app_of({"m": engine})
    tool = {"type": "function", "function": {"name": "f"}}
    fields = {"messages": MESSAGES, "tools": [tool], "chat_template_kwargs": {"x": 1}, "add_generation_prompt": False}
    answer = (await post(app, "/tokenize", **fields, return_token_strs=True)).json()
    assert answer["token_strs"] == ["a\ufffd"]
    request, texts = engine.asked_for
    assert [message.content for message in request.messages] == ["Be brief.", "hi"]
    assert ([tool.name for tool in request.tools], request.template_args) == (["f"], {"x": 1})
    assert (texts, request.prompt_end, request.prompt) == (True, "message", None)
    await post(app, "/tokenize", prompt="hi", add_special_tokens=False)
    prompt = engine.asked_for[0].prompt
    assert (prompt.content, prompt.add_special_tokens, engine.asked_for[1]) == ("hi", False, False)
    await post(app, "/tokenize", prompt="hi", tools=[], chat_template_kwargs={}, add_generation_prompt=True)
    assert engine.asked_for[0].prompt.add_special_tokens


@pytest.mark.parametrize(
    ("path", "fields", "param", "sentence"),
    [
        ("/tokenize", {}, "prompt", "Set 'prompt' or 'messages': one of them is required."),
        ("/tokenize", {"prompt": "a", "messages": MESSAGES}, "prompt", "Remove 'prompt' or 'messages': a request has"),
        ("/tokenize", {"prompt": 1}, "prompt", "Set 'prompt' to a string, not a number."),
        (
            "/tokenize",
            {"prompt": "a", "tools": [{}]},
            "tools",
            "Remove 'tools': only a request with 'messages' has it.",
        ),
        (
            "/tokenize",
            {"prompt": "a", "add_generation_prompt": False},
            "add_generation_prompt",
            "Remove 'add_generation_prompt': only a request with 'messages' has it.",
        ),
        (
            "/tokenize",
            {"messages": MESSAGES, "add_special_tokens": True},
            "add_special_tokens",
            "Remove 'add_special_tokens': the chat template writes those of a conversation.",
        ),
        ("/tokenize", {"messages": []}, "messages", "Give 'messages' at least 1 entry."),
        (
            "/tokenize",
            {"messages": [{"role": "user", "content": 1}]},
            "messages[0].content",
            "Set 'messages[0].content' to a string or a list of parts, not a number.",
        ),
        ("/tokenize", {"prompt": "a", "chat_template": "x"}, "chat_template", "Remove 'chat_template': it is not"),
        ("/tokenize", {"prompt": "a", "model": "team"}, "model", "Set 'model' to a model: 'team' is a recipe, which"),
        ("/tokenize", {"prompt": "a", "model": "other"}, "model", "Set 'model' to a model whose tokenizer this server"),
        ("/detokenize", {}, "tokens", "Set 'tokens': it is required."),
        ("/detokenize", {"tokens": "a"}, "tokens", "Set 'tokens' to a list of token ids, not a string."),
        ("/detokenize", {"tokens": [1, "a"]}, "tokens[1]", "Set 'tokens[1]' to a token id, not a string."),
        ("/detokenize", {"tokens": [1, 9]}, "tokens[1]", "Set 'tokens[1]' to a token id, 0 to 3, not 9."),
        ("/detokenize", {"tokens": [1], "model": "team"}, "model", "Set 'model' to a model: 'team' is a recipe, which"),
        ("/detokenize", {"tokens": [1], "model": "other"}, "model", "Set 'model' to a model whose tokenizer this"),
    ],
)
async def test_what_is_refused(path: str, fields: dict[str, Any], param: str, sentence: str) -> None:
    app = app_of({"m": ScriptedEngine("m"), "team": ScriptedEngine("team"), "other": HandEngine()}, recipes=("team",))
    response = await post(app, path, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == param
    assert error["message"].startswith(sentence)


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize"])
async def test_a_key_is_required(path: str) -> None:
    app = app_of({"m": ScriptedEngine("m")}, api_key="key")
    assert status_and_code(await post(app, path, prompt="a")) == (401, "invalid_api_key")


@pytest.mark.parametrize(("modalities", "seen"), [(("text",), []), (("text", "image"), [PNG])])
async def test_a_conversation_may_have_images(modalities: tuple[Modality, ...], seen: list[bytes]) -> None:
    engine = Recorder()
    engine.info = EngineInfo(modalities=modalities)
    part = {"type": "image_url", "image_url": {"url": PNG_URL}}
    app = app_of({"m": ModelEngine("m", engine, Runtime({}))})
    answer = await post(app, "/tokenize", messages=[{"role": "user", "content": [part]}])
    assert answer.status_code == 200
    [message] = engine.asked_for[0].messages
    assert [image.data for image in message.images] == seen

"""The description at `/openapi.json`, held by schemathesis against what the server accepts and answers."""

import dataclasses
import re
from typing import Any, get_args

import jsonschema
import orjson
import pytest
import schemathesis
from hypothesis import settings
from pydantic import SecretStr
from schemathesis.config import SchemathesisConfig

from serving import events
from serving.api import ApiSettings, create_app
from serving.api.dialects.chat_requests import OPTIONS
from serving.api.dialects.live import event_json
from serving.api.openapi import COMPONENTS
from serving.engines.model import ModelEngine
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.errors import EngineFailed
from serving.events import RunEvent
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.runtime.shared_state import Runtime
from serving.types import AgentTrace
from tests.support.api import app_of, ask, chunks, client_of, get
from tests.support.images import PNG_URL

CONFIG = SchemathesisConfig.from_dict({"generation": {"max-examples": 25, "database": "none"}})
KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, RunEvent) and "name" in vars(kind)
]


def scripted(name: str) -> ModelEngine:
    engine = ScriptedEngine(name, "Hello to you", tools=True, thinking=True, modalities=("text", "image"))
    return ModelEngine(name, engine, Runtime({}))


ENGINES = {name: scripted(name) for name in ("m", "org/other")}
POOLING = {"e": ScriptedPoolingEngine("e", matryoshka=True), "r": ScriptedPoolingEngine("r", "rerank")}
TEAM = Orchestrator(ENGINES, {}, pooling=POOLING)
ALIASES = {"other": "org/other", "vectors": "e"}
SETTINGS = ApiSettings(
    api_key=SecretStr("key"), max_choices=4, max_messages=8, max_inputs=5, aliases=ALIASES, metrics=True
)


async def page() -> bytes:
    return b"ray_moa_requests_total 1\n"


APP = create_app(ENGINES, TEAM.cards(), SETTINGS, pooling=POOLING, metrics=page)
API = schemathesis.openapi.from_asgi("/openapi.json", APP, config=CONFIG, headers={"Authorization": "Bearer key"})


@API.parametrize()
@settings(deadline=None, derandomize=True)
def test_what_is_described_is_what_happens(case: schemathesis.Case) -> None:
    if case.meta is not None and case.meta.generation.mode.is_positive and isinstance(case.body, dict):
        SETTLE[case.path](case.body)
        settle_images(case.body)
    case.call_and_validate(headers={"Authorization": "Bearer key"})


async def test_chunks_and_answers_are_what_the_description_says() -> None:
    components = {"components": APP.openapi()["components"]}
    trace = {"trace": True}
    app = app_of({"m": scripted("m")})
    asked = {"stream": True, "n": 2, "logprobs": True, "top_logprobs": 1, "moa": trace}
    for fields in (asked, {**asked, "stream_options": {"include_usage": True}}):
        *sent, done = chunks(await ask(app, **fields))
        assert done == "[DONE]"
        for chunk in sent:
            jsonschema.validate(chunk, {"$ref": f"{COMPONENTS}ChatCompletionChunk", **components})
    whole = (await ask(app, moa=trace)).json()
    jsonschema.validate(whole, {"$ref": f"{COMPONENTS}ChatCompletion", **components})
    assert whole["moa"]["trace"]


async def test_events_are_what_the_description_says() -> None:
    components = {"components": APP.openapi()["components"]}
    engines = {name: ScriptedEngine(name, f"{name} says it") for name in "abc"}
    engines["b"].error = EngineFailed("b", "out of memory")
    engines["c"].answer = ScriptedAnswer("c says it", reasoning="c thinks")
    recipes = load_recipes(["moa-lite"], {"proposers": ["a", "b", "c"], "aggregator": "a"})
    orchestrator = Orchestrator(engines, recipes)
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    seen: set[str] = set()
    for detail in (True, "text"):
        *sent, _ = chunks(await ask(app, model="moa-lite", stream=True, moa={"events": detail, "trace": True}))
        for chunk in sent:
            jsonschema.validate(chunk, {"$ref": f"{COMPONENTS}ChatCompletionChunk", **components})
            seen |= {event["event"] for event in chunk.get("moa", {}).get("events", [])}
    assert {"run_started", "layer_finished", "agent_text", "agent_finished", "reason_added"} <= seen


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_event_is_described(kind: type[RunEvent]) -> None:
    values = {"int": 1, "float": 0.5, "str": "x", "bool": True, "tuple[int, ...]": (1,)}
    trace = AgentTrace(1, 0, "proposer", "a", "ok", "x")
    made = {
        field.name: trace if field.type is AgentTrace else values[type_name(field.type)]
        for field in dataclasses.fields(kind)
    }
    components = {"components": APP.openapi()["components"]}
    jsonschema.validate(
        orjson.loads(orjson.dumps({"events": [event_json(kind(**made))]})),
        {"$ref": f"{COMPONENTS}MoaEvents", **components},
    )


def type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


@pytest.mark.parametrize("body", ["ChatBody", "ResponsesBody", "MessagesBody", "CompletionsBody"])
async def test_every_dialect_describes_the_options_of_moa_that_it_reads(body: str) -> None:
    schemas = (await get(app_of(ENGINES), "/openapi.json")).json()["components"]["schemas"]
    options, _ = schemas[body]["properties"]["moa"]["anyOf"]
    assert set(options["properties"]) == OPTIONS


async def test_without_keys_none_is_described() -> None:
    described = (await get(app_of(ENGINES), "/openapi.json")).json()
    assert "securitySchemes" not in described["components"]
    assert "401" not in described["paths"]["/v1/models"]["get"]["responses"]


async def test_the_page_needs_no_other_server() -> None:
    async with client_of(APP) as client:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "https://" not in page.text
        for file in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            response = await client.get(file)
            assert response.status_code == 200, file
            assert len(response.content) > 1000


def settle_chat(body: dict[str, Any]) -> None:
    """Make fields fit together that a JSON schema cannot relate to each other."""
    if not body.get("logprobs"):
        body.pop("top_logprobs", None)
    if body.get("max_completion_tokens") is not None:
        body.pop("max_tokens", None)
    if body.get("max_tokens") is not None or body.get("max_completion_tokens") is not None:
        body.pop("min_tokens", None)
    if body.get("tools"):
        body["tools"] = list({tool["function"]["name"]: tool for tool in body["tools"]}.values())
    if body.get("structured_outputs") is not None:
        body.pop("response_format", None)
    body.pop("continue_final_message", None)
    settle_common(body)
    messages = [message for message in body["messages"] if message["role"] != "tool"]
    body["messages"] = messages or [{"role": "user", "content": ""}]


def settle_common(body: dict[str, Any]) -> None:
    """The same for fields that several dialects have."""
    if not body.get("stream"):
        body.pop("stream_options", None)
    if body.get("tools"):
        body["tools"] = list({tool.get("function", tool)["name"]: tool for tool in body["tools"]}.values())
    body.pop("tool_choice", None)
    settle_rules(body)
    if body.get("moa"):
        body["moa"] = {"trace": body["moa"].get("trace")}  # the others belong to recipes, each to its own


def settle_rules(body: dict[str, Any]) -> None:
    """Make every rule for texts one that a grammar holds: a schema cannot say which do."""
    wanted = body.get("structured_outputs") or {}
    for kind, rule in (("json", {}), ("regex", "a"), ("grammar", 'root ::= "a"'), ("structural_tag", "{}")):
        if wanted.get(kind) is not None:
            wanted[kind] = rule
    text, config = body.get("text") or {}, body.get("output_config") or {}
    in_chat = (body.get("response_format") or {}).get("json_schema")
    for place in (in_chat, text.get("format"), config.get("format")):
        if place and "schema" in place:
            place["schema"] = {}
    for tool in body.get("tools") or ():
        for function in (tool, tool.get("function") or {}, *(tool.get("tools") or ())):
            function.pop("strict", None)


def settle_response(body: dict[str, Any]) -> None:
    """The same for the Responses API: results without calls are left out."""
    settle_common(body)
    for tool in body.get("tools") or ():
        if tool["type"] == "namespace":
            tool["tools"] = list({function["name"]: function for function in tool["tools"]}.values())
    if isinstance(body["input"], list):
        items = [item for item in body["input"] if item.get("type") != "function_call_output"]
        body["input"] = items or "hi"


def settle_message(body: dict[str, Any]) -> None:
    """The same for the Messages API: results without calls are left out, and the last turn is a user's."""
    settle_common(body)
    for message in body["messages"]:
        if isinstance(message["content"], list):
            message["content"] = [block for block in message["content"] if block["type"] != "tool_result"]
    body["messages"][-1] = {"role": "user", "content": "hi"}


def settle_completion(body: dict[str, Any]) -> None:
    """The same for completions: token ids are those that a scripted model has."""
    settle_common(body)
    for name in ("best_of", "min_tokens"):
        body.pop(name, None)
    body["max_tokens"] = body.get("max_tokens") or 1
    several = not isinstance(body["prompt"], str)
    body["prompt"] = settled_prompt(body["prompt"])
    if several:
        body.pop("moa", None)


def settled_prompt(prompt: Any) -> Any:
    if isinstance(prompt, list):
        return [settled_prompt(one) for one in prompt]
    return prompt.strip() or "hi" if isinstance(prompt, str) else prompt % 4


def settle_tokens(body: dict[str, Any]) -> None:
    """The same for requests for tokens and for their text."""
    if body.get("messages"):
        settle_common(body)
        body["messages"] = [one for one in body["messages"] if one["role"] != "tool"] or [
            {"role": "user", "content": ""}
        ]
    body |= {"tokens": settled_prompt(body["tokens"])} if "tokens" in body else {}


def settle_pooling(body: dict[str, Any]) -> None:
    """The same for embeddings and rankings: the largest dimensions are the model's."""
    body.pop("dimensions", None)


def settle_images(value: Any) -> None:
    """Make every image one that can be read: a schema cannot say what is in its data."""
    if isinstance(value, list):
        for part in value:
            settle_images(part)
    elif isinstance(value, dict):
        if isinstance(value.get("image_url"), dict):
            value["image_url"]["url"] = PNG_URL
        elif isinstance(value.get("image_url"), str):
            value["image_url"] = PNG_URL
        elif value.get("type") == "image":
            value["source"] = {"type": "url", "url": PNG_URL}
        for part in value.values():
            settle_images(part)


SETTLE = {
    "/v1/embeddings": settle_pooling,
    "/v1/rerank": settle_pooling,
    "/v1/completions": settle_completion,
    "/tokenize": settle_tokens,
    "/detokenize": settle_tokens,
    "/v1/chat/completions": settle_chat,
    "/v1/responses": settle_response,
    "/v1/messages": settle_message,
    "/v1/messages/count_tokens": settle_message,
    # The key may not manage keys: all bodies are refused alike.
    "/v1/admin/keys": lambda body: None,
    "/v1/admin/keys/{name}": lambda body: None,
    "/v1/admin/keys/{name}/rotate": lambda body: None,
}

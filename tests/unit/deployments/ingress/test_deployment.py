"""The ingress replica: an API over the handles of a profile's models."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from deployments.api_settings import api_settings
from deployments.app import build, llm_config
from deployments.config import AppArgs, Profile, load_profile
from deployments.external_spec import ExternalSpec
from deployments.ingress.deployment import Ingress
from deployments.model.pooling_server import PoolingServer
from deployments.model.server import ModelServer
from deployments.model_spec import ModelSpec, Replicas
from serving.api.keys import key_ring
from serving.api.settings import ApiSettings
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.pooling import Vectors
from tests.support.api import client_of
from tests.unit.deployments.ingress.test_remote_pooling import Handle

POOLING = load_profile("tests/support/pooling.yaml")
TINY = load_profile("tiny")
Plain: Any = Ingress.__bases__[0]  # without Ray's wrapper, whose constructor is a coroutine
BOTH = Profile.model_validate({**TINY.model_dump(), "models": (*TINY.models, *POOLING.models)})


async def test_models_are_answered_by_their_kind_of_engine() -> None:
    handles: dict[str, Any] = {f"model_{number}": Handle() for number in range(len(BOTH.models))}
    for handle in handles.values():
        handle.gives = [0]  # the health check at the start
    handles["model_3"].gives.append(Vectors((b"\0\0\0\0",), 1))
    app = await Plain(BOTH, **handles).__serve_build_asgi_app__()
    async with client_of(app) as client:
        tasks = {card["id"]: card["task"] for card in (await client.get("/v1/models")).json()["data"]}
        answer = await client.post("/v1/embeddings", json={"model": "tiny-embed", "input": "a"})
    assert {name for name, task in tasks.items() if task == "generate"} >= {"moa", "tiny-qwen", "tiny-mixtral"}
    assert (tasks["tiny-embed"], tasks["tiny-rerank"]) == ("embed", "rerank")
    assert answer.json()["data"][0]["embedding"] == [0.0]
    [request] = [one for one in handles["model_3"].requests if one is not None]
    assert request.inputs == ("a",)


async def test_a_profile_of_endpoints_alone_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExternalSpec, "engine", lambda self: ScriptedEngine(self.id, f"words of {self.id}"))
    app = await Plain(load_profile("endpoints")).__serve_build_asgi_app__()
    chat = {"model": "moa-lite", "messages": [{"role": "user", "content": "a"}], "moa": {"trace": True}}
    async with client_of(app) as client:
        answer = (await client.post("/v1/chat/completions", json=chat)).json()
    assert answer["choices"][0]["message"]["content"] == "words of qwen2.5-7b"
    proposals = [agent["text"] for agent in answer["moa"]["trace"][0]["agents"]]
    assert proposals == ["words of qwen2.5-7b", "words of llama-3.1-8b", "words of mistral-7b"]


class Counted(Handle):
    app_name, deployment_name = "moa", "a deployment"


async def test_models_that_may_have_no_replica_are_started_by_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    deployments = {"a deployment": SimpleNamespace(replica_states={})}
    status = SimpleNamespace(applications={"moa": SimpleNamespace(deployments=deployments)})
    monkeypatch.setattr("deployments.ingress.running_replicas.serve.status", lambda: status)
    rests = {"replicas": Replicas(min=0, max=1)}
    models = [
        model.model_copy(update=rests if model.id in ("tiny-llama", "tiny-embed") else {}) for model in BOTH.models
    ]
    profile = BOTH.model_copy(update={"models": tuple(models)})
    handles: dict[str, Any] = {f"model_{number}": Counted(*[0] * 9) for number in range(len(models))}
    app = await Plain(profile, **handles).__serve_build_asgi_app__()
    asked = {model.id: handles[f"model_{number}"].gives for number, model in enumerate(models)}
    assert {name for name, gives in asked.items() if len(gives) == 9} == {"tiny-llama", "tiny-embed"}, (
        "not at the start"
    )
    async with client_of(app) as client:
        chat = {"model": "tiny-llama", "messages": [{"role": "user", "content": "a"}]}
        for path, body in {"chat/completions": chat, "embeddings": {"model": "tiny-embed", "input": "a"}}.items():
            refused = await client.post(f"/v1/{path}", json=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        assert (await client.get("/ready")).status_code == 200
    await asyncio.sleep(0)
    assert {name for name in ("tiny-llama", "tiny-embed") if len(asked[name]) == 8} == {"tiny-llama", "tiny-embed"}


async def test_adapters_are_models_over_the_handle_of_their_base() -> None:
    raw = TINY.model_dump()
    price = {"prompt": 1, "completion": 2}
    adapters = [
        {"id": "sql", "source": "org/sql", "description": "writes SQL", "usd_per_million_tokens": price},
        {"id": "law", "source": "org/law"},
    ]
    raw["models"] = [{**raw["models"][0], "adapters": adapters}, *raw["models"][1:]]
    handles: dict[str, Any] = {f"model_{number}": Handle() for number in range(3)}
    handles["model_0"].gives = [0, 0, 0]  # the health checks at the start
    for number in (1, 2):
        handles[f"model_{number}"].gives = [0]
    app = await Plain(Profile.model_validate(raw), **handles).__serve_build_asgi_app__()
    async with client_of(app) as client:
        cards = {card["id"]: card for card in (await client.get("/v1/models")).json()["data"]}
    assert [name for name, card in cards.items() if card["kind"] == "model"] == [
        "tiny-qwen", "sql", "law", "tiny-llama", "tiny-mixtral"
    ]  # fmt: skip
    assert (cards["sql"]["parent"], cards["sql"]["root"], cards["sql"]["description"]) == (
        "tiny-qwen", "tiny-qwen", "writes SQL"
    )  # fmt: skip
    assert cards["sql"]["usd_per_million_tokens"] == price
    assert cards["law"]["tools"] == cards["tiny-qwen"]["tools"] is True
    assert (cards["tiny-qwen"]["parent"], cards["moa"]["root"]) == (None, "moa")


def test_replicas_are_of_the_class_of_their_task() -> None:
    application = build(BOTH, AppArgs(), local=False)
    bound = application._bound_deployment.init_kwargs  # type: ignore[attr-defined]
    classes = [bound[f"model_{number}"]._bound_deployment.func_or_class for number in range(len(BOTH.models))]
    assert [issubclass(one, PoolingServer) for one in classes] == [False, False, False, True, True]
    assert [issubclass(one, ModelServer) for one in classes] == [True, True, True, False, False]


def test_keys_and_their_secret_are_read_from_the_replicas_environment() -> None:
    given = ApiSettings(keys=[{"name": "a", "key_env": "A_KEY"}])  # type: ignore[arg-type]
    secret = "a secret of the server"
    settings = api_settings(given, {"A_KEY": "x", "MOA_API_KEY": "one,two", "MOA_TENANT_SECRET": secret})
    callers = {key: caller.name for key, caller in key_ring(settings).callers}
    assert callers == {b"one": "key-1", b"two": "key-2", b"x": "a"}
    assert settings.tenant_secret == SecretStr(secret)
    with pytest.raises(ConfigError, match="A_KEY"):
        api_settings(given, {})
    with pytest.raises(ValidationError, match="at least 16"):
        api_settings(given, {"A_KEY": "x", "MOA_TENANT_SECRET": "short"})


def test_a_key_that_is_not_there_is_found_before_anything_starts() -> None:
    profile = TINY.model_copy(update={"api": ApiSettings(keys=[{"name": "a", "key_env": "MOA_NO_SUCH_KEY"}])})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Set the environment variable MOA_NO_SUCH_KEY to the API key 'a'"):
        build(profile, AppArgs(), local=False)


def test_engines_order_their_calls_by_priority_unless_the_profile_says_otherwise() -> None:
    plain, other = (
        ModelSpec(id="m", source="org/m", engine_kwargs={"max_model_len": 64, **options})
        for options in ({}, {"scheduling_policy": "fcfs"})
    )
    policies = [llm_config(TINY, model).engine_kwargs["scheduling_policy"] for model in (plain, other)]
    assert policies == ["priority", "fcfs"]

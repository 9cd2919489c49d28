"""The ingress replica: an API over the handles of a profile's models."""

from typing import Any

from deployments.app import build
from deployments.config import AppArgs, Profile, load_profile
from deployments.ingress.deployment import Ingress
from deployments.model.pooling_server import PoolingServer
from deployments.model.server import ModelServer
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


def test_replicas_are_of_the_class_of_their_task() -> None:
    application = build(BOTH, AppArgs(), local=False)
    bound = application._bound_deployment.init_kwargs  # type: ignore[attr-defined]
    classes = [bound[f"model_{number}"]._bound_deployment.func_or_class for number in range(len(BOTH.models))]
    assert [issubclass(one, PoolingServer) for one in classes] == [False, False, False, True, True]
    assert [issubclass(one, ModelServer) for one in classes] == [True, True, True, False, False]

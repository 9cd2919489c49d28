"""The adapter of pooling models over a scripted `AsyncLLM`: prompts in, tensors, counts and errors out."""

import asyncio
import os
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.exceptions import VLLMValidationError
from vllm.outputs import PoolingOutput, PoolingRequestOutput
from vllm.v1.engine.async_llm import AsyncLLM

from deployments.model.lean_engine import LeanVLLMEngine
from deployments.model.pooling_adapter import PoolingAdapter, PoolingPrompt
from serving.errors import (
    ConfigError,
    EngineFailed,
    EngineUnavailable,
    IncompleteGeneration,
    InvalidRequest,
    MoaError,
    UnsupportedField,
)
from serving.pooling import PoolingTask
from serving.runtime.fair_queue import rank_of
from serving.tenant import ANYONE, Tenant
from tests.support.clock import simulated_time

PROMPTS = [PoolingPrompt((1, 2)), PoolingPrompt((3,))]


class ScriptedClient(AsyncLLM):
    """Gives each prompt the sum of its token ids as vector; fails or hangs on the ids of `fails` and `hangs`."""

    errored = False  # a property of AsyncLLM

    def __init__(self, tasks: tuple[str, ...] = ("embed", "token_embed"), **config: Any) -> None:
        self.tasks, self.calls, self.open = tasks, [], 0  # type: ignore[var-annotated]
        self.fails: dict[int, Exception] = {}
        self.hangs: set[int] = set()
        self.finished, self.values = True, [1.0, -1.0]
        facts = {"max_model_len": 64, "embedding_size": 8, "is_matryoshka": False, "matryoshka_dimensions": None}
        self.model_config = SimpleNamespace(**{**facts, **config})  # type: ignore[assignment]
        self.vllm_config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=8))  # type: ignore[assignment]
        self.salts: list[str | None] = []

    def shutdown(self, timeout: float | None = None) -> None: ...

    async def get_supported_tasks(self) -> Any:
        return self.tasks

    def get_num_unfinished_requests(self) -> int:
        return self.open

    async def encode(self, prompt: Any, pooling_params: Any, request_id: str, **options: Any) -> Any:  # type: ignore[override]
        ids = prompt["prompt_token_ids"]
        self.calls.append((ids, pooling_params, request_id, options["priority"]))
        self.salts.append(prompt.get("cache_salt"))
        self.open += 1
        try:
            if ids[0] in self.hangs:
                await asyncio.Event().wait()
            if error := self.fails.get(ids[0]):
                raise error
            data = torch.tensor([[value * sum(ids) for value in self.values]], dtype=torch.float16)
            yield PoolingRequestOutput(request_id, PoolingOutput(data), ids, 0, self.finished)
        finally:
            self.open -= 1


def adapter(client: ScriptedClient | None = None, task: PoolingTask = "embed") -> tuple[PoolingAdapter, ScriptedClient]:
    client = client or ScriptedClient()
    return PoolingAdapter("m", task, SimpleNamespace(_engine_client=client)), client  # type: ignore[arg-type]


async def test_tensors_come_in_the_order_of_the_prompts() -> None:
    vllm, client = adapter()
    tensors = await vllm.pool("r", PROMPTS, dimensions=4, priority=2)
    assert [tensor.tolist() for tensor in tensors] == [[3, -3], [3, -3]]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert [(ids, request_id, priority) for ids, _, request_id, priority in client.calls] == [
        ([1, 2], "r-0", rank_of(2, 0)),
        ([3], "r-1", rank_of(2, 0)),
    ]
    params = client.calls[0][1]
    assert (params.task, params.dimensions, params.extra_kwargs) == ("embed", 4, None)
    stats = vllm.stats()
    assert (stats.unfinished_requests, stats.finished_requests, stats.aborted_requests) == (0, 2, 0)
    assert stats.pid == os.getpid()
    assert (vllm.context_tokens, vllm.engine_class()) == (64, LeanVLLMEngine)


async def test_isolated_tenants_share_no_cached_prompts_and_the_engine_equally() -> None:
    vllm, client = adapter()
    for tenant in (Tenant("a", isolated=True), Tenant("b", isolated=True), Tenant("c"), ANYONE):
        await vllm.pool("r", PROMPTS[:1], tenant=tenant)
    assert client.salts == ["a", "b", None, None]
    client.hangs.add(1)
    asking = asyncio.create_task(vllm.pool("r", [PROMPTS[0]] * 2, tenant=Tenant("a")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert vllm.queue.held == {"a": 2}
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert vllm.queue.held == {}


async def test_a_cross_encoder_is_told_where_its_second_text_begins() -> None:
    vllm, client = adapter(ScriptedClient(("classify",)), "rerank")
    await vllm.check_task()
    await vllm.pool("r", [PoolingPrompt((1, 2, 3), 2)])
    params = client.calls[0][1]
    assert (params.task, params.extra_kwargs) == ("classify", {"compressed_token_type_ids": 2})


@pytest.mark.parametrize(
    ("task", "tasks", "sentence"),
    [
        ("embed", ("classify",), "'m' cannot embed: vLLM offers classify for it; set task: rerank"),
        ("rerank", ("embed", "token_embed"), "'m' cannot rerank: vLLM offers embed, token_embed for it; set task: emb"),
    ],
)
async def test_a_model_that_does_not_do_its_task_is_refused(
    task: PoolingTask, tasks: tuple[str, ...], sentence: str
) -> None:
    vllm, _ = adapter(ScriptedClient(tasks), task)
    with pytest.raises(ConfigError, match=sentence):
        await vllm.check_task()


def test_dimensions_are_those_that_the_model_has() -> None:
    plain, _ = adapter()
    assert (plain.own_dimensions(None), plain.own_dimensions(8)) == (None, None)
    with pytest.raises(UnsupportedField, match="no Matryoshka embeddings, its vectors have 8 values"):
        plain.own_dimensions(4)
    any_length, _ = adapter(ScriptedClient(is_matryoshka=True))
    assert any_length.own_dimensions(3) == 3
    with pytest.raises(InvalidRequest, match="at most 8, not 9"):
        any_length.own_dimensions(9)
    some, _ = adapter(ScriptedClient(is_matryoshka=True, matryoshka_dimensions=[4, 2]))
    assert some.own_dimensions(2) == 2
    with pytest.raises(InvalidRequest, match="to one of 2, 4, not 3"):
        some.own_dimensions(3)


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (VLLMValidationError("too  long."), InvalidRequest, "'m' refused the request: too long."),
        (ValueError("secret"), EngineFailed, "ValueError; the replica's log has the details"),
        (EngineUnavailable("m"), EngineUnavailable, "no replica is ready"),
    ],
)
async def test_errors_are_those_of_this_project(error: Exception, kind: type[MoaError], sentence: str) -> None:
    vllm, client = adapter()
    client.fails[3], client.hangs = error, {1}
    with pytest.raises(kind, match=sentence) as caught:
        await vllm.pool("r", PROMPTS)
    assert "secret" not in str(caught.value)
    assert client.open == 0, "the others are aborted"
    assert vllm.stats().aborted_requests == 2


@simulated_time
async def test_what_is_cancelled_is_aborted() -> None:
    vllm, client = adapter()
    client.hangs = {1, 3}
    pooling = asyncio.create_task(vllm.pool("r", PROMPTS))
    await asyncio.sleep(0.01)
    assert vllm.stats().unfinished_requests == 2
    pooling.cancel()
    await asyncio.wait({pooling})
    assert (client.open, vllm.stats().aborted_requests) == (0, 2)


async def test_an_output_must_be_whole_and_finite() -> None:
    vllm, client = adapter()
    client.values = [float("nan")]
    with pytest.raises(EngineFailed, match="no finite numbers"):
        await vllm.pool("r", PROMPTS)
    client.finished = False
    with pytest.raises(IncompleteGeneration):
        await vllm.pool("r", PROMPTS)


@simulated_time
async def test_health_is_one_token_through_the_engine() -> None:
    vllm, client = adapter()
    await vllm.round_trip(5)
    assert client.calls[0][0] == [0]
    assert client.calls[0][3] < -1000
    client.hangs = {0}
    with pytest.raises(EngineUnavailable, match="its engine produced no output"):
        await vllm.round_trip(0.01)
    checking = asyncio.create_task(vllm.round_trip(0.05))
    await asyncio.sleep(0.01)
    assert vllm.stats().unfinished_requests == 0, "a health check is no request"
    await vllm.pool("r", PROMPTS)
    await checking  # late, but the engine works
    client.errored = True
    assert vllm.dead
    with pytest.raises(EngineUnavailable, match="engine process died"):
        await vllm.round_trip(1)

"""One model behind a Serve handle: conversations in, packed deltas out."""

import asyncio
import dataclasses
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from ray.llm._internal.common.callbacks.base import CallbackBase
from ray.serve.llm import LLMConfig
from ray.serve.llm.deployment import LLMServer

from deployments.model.coalescing import coalesced
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.vllm_adapter import VllmAdapter
from deployments.wire import EngineStats, Packed, pack
from serving.engine import answer_tokens
from serving.errors import EngineUnavailable
from serving.types import Delta, GenerateRequest, Message, Sampling, TokenUsage

ROUND_TRIP_S = 50.0  # a health check's token may wait behind a long prefill; below health_check_timeout_s
LONG_CHARACTERS = 20_000  # some milliseconds of a tokenizer
GREETING = (Message("user", "What is 1 + 2?"),)
WARM_UP = (
    Sampling(max_tokens=4, temperature=0),
    Sampling(max_tokens=4, temperature=0.7, top_p=0.9, top_k=20, min_p=0.01, logprobs=1, presence_penalty=0.1, n=2),
)

logger = logging.getLogger(__name__)


class LocalWeights(CallbackBase):
    """Skips ray.serve.llm's download task, which starts a process of its own even for weights that are local."""

    async def on_before_node_init(self) -> None:
        self.ctx.run_init_node = False


class ModelServer(LLMServer):
    """ray.serve.llm's server (placement, downloads, LoRA, engine metrics) with a lean way in and out."""

    async def __init__(self, llm_config: LLMConfig) -> None:  # type: ignore[misc]  # Serve awaits it
        await super().__init__(llm_config, engine_cls=VllmAdapter.engine_class())
        self._model = llm_config.model_id
        self._engine = VllmAdapter(self._model, self.engine)  # type: ignore[arg-type]
        self._renderer = PromptRenderer(self._engine.tokenizer, self._model)
        await self._warm_up()

    async def _start_engine(self) -> None:
        """As ray.serve.llm's, without the actor that it starts for its telemetry."""
        engine: Any = self.engine
        await engine.start()

    async def _warm_up(self) -> None:
        """Everything that a first request would wait for: the template, greedy and sampled tokens, logprobs."""
        for sampling in WARM_UP:
            async with aclosing(self.generate(GenerateRequest("warm-up", GREETING, sampling))) as items:
                async for _ in items:
                    pass

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        """The stream of `serving.engine`, in groups; a request nobody watches gives one group at its end.

        Raises:
            ContextTooLong: before the engine has done anything.
            MoaError: as `VllmAdapter.generate`.
        """
        sampling = request.sampling
        if request.prefill_marker is not None:
            token_ids = await self._rendered(self._renderer.prefill_ids, request.messages, request.prefill_marker)
            token_ids = token_ids[: len(token_ids) // self._engine.block_size * self._engine.block_size]
            if not token_ids or len(token_ids) >= self._engine.context_tokens:
                yield (pack(Delta(finish_reason="length", usage=TokenUsage())),)
                return
            sampling = Sampling(max_tokens=1, temperature=0, ignore_eos=True)
        else:
            token_ids = await self._rendered(self._renderer.token_ids, request.messages)
            most = answer_tokens(self._model, request, len(token_ids), self._engine.context_tokens)
            sampling = dataclasses.replace(sampling, max_tokens=most)
        deltas = self._engine.generate(
            request.request_id,
            token_ids,
            sampling,
            priority=request.priority,
            stream_interval=request.stream_interval,
        )
        async with aclosing(coalesced(deltas)) as groups:
            async for group in groups:
                yield tuple(pack(delta) for delta in group)

    async def _rendered(
        self, render: Callable[..., tuple[int, ...]], messages: tuple[Message, ...], *more: str
    ) -> tuple[int, ...]:
        """`render`'s token ids; of a long prompt in a thread, so that no other stream waits for the tokenizer."""
        if sum(len(message.content) for message in messages) < LONG_CHARACTERS:
            return render(messages, *more)
        return await asyncio.to_thread(render, messages, *more)

    async def stats(self) -> EngineStats:
        return self._engine.stats()

    async def check_health(self) -> None:
        """Serve's own check: a token through the engine, so that a hung engine is noticed too.

        A replica whose engine process died ends itself: Serve replaces it at once instead of after three failed checks.
        """
        engine = getattr(self, "_engine", None)
        if engine is None:
            return
        try:
            await engine.round_trip(ROUND_TRIP_S)
        except EngineUnavailable as error:
            logger.error("%s", error)
            if engine.dead:
                asyncio.get_running_loop().call_later(1.0, os._exit, 1)  # the failed requests get their errors first
            raise

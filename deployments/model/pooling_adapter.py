"""Adapter of vLLM's `AsyncLLM` for pooling models: token prompts in, tensors out."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.inputs.engine import tokens_input
from vllm.outputs import PoolingRequestOutput
from vllm.pooling_params import PoolingParams
from vllm.v1.engine.async_llm import AsyncLLM

from deployments.model.vllm_adapter import ENGINE_DIED, LeanVLLMEngine, translated
from deployments.wire import EngineStats
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

VLLM_TASKS: dict[PoolingTask, str] = {"embed": "embed", "rerank": "classify"}
REMEDIES: dict[PoolingTask, str] = {
    "embed": "set task: rerank if it is a cross-encoder",
    "rerank": "set task: embed, or give it a classification head (engine_kwargs.convert or hf_overrides)",
}


@dataclass(frozen=True, slots=True)
class PoolingPrompt:
    """Token ids of one prompt; `first_segment`: how many belong to its first text, if the model is told."""

    token_ids: tuple[int, ...]
    first_segment: int | None = None


class PoolingAdapter:
    """Source of vectors and scores on top of an `AsyncLLM`. Counts are those of this replica since its start.

    Each prompt is a request of the engine, which batches all that are waiting.
    """

    def __init__(self, model: str, task: PoolingTask, engine: VLLMEngine) -> None:
        self.model, self.task = model, task
        client: Any = engine._engine_client
        assert isinstance(client, AsyncLLM)
        self.client: AsyncLLM = client
        self._finished = self._aborted = self._health_checks = 0
        self.progress_at: float = time.monotonic()  # time of the engine's last output

    @classmethod
    def engine_class(cls) -> type[VLLMEngine]:
        """Class of the engine that `LLMServer` starts."""
        return LeanVLLMEngine

    async def check_task(self) -> None:
        """Raise `ConfigError` if the model, as vLLM has loaded it, does not do its task."""
        offered = [str(task) for task in await self.client.get_supported_tasks()]
        if VLLM_TASKS[self.task] not in offered:
            raise ConfigError(
                f"'{self.model}' cannot {self.task}: vLLM offers {', '.join(sorted(offered))} for it;"
                f" {REMEDIES[self.task]}."
            )

    @property
    def context_tokens(self) -> int:
        """Length of the model's context."""
        return int(self.client.model_config.max_model_len)

    @cached_property
    def _embedding_size(self) -> int:
        """Length of the model's vectors, which vLLM reads from the model's files."""
        return int(self.client.model_config.embedding_size)

    @property
    def dead(self) -> bool:
        """True if the engine process ended or failed for good."""
        return bool(self.client.errored)

    def stats(self) -> EngineStats:
        """Requests held now, without health checks, and totals since the start; one prompt is one request."""
        unfinished = self.client.get_num_unfinished_requests() - self._health_checks
        return EngineStats(max(unfinished, 0), self._finished, self._aborted, 0, os.getpid())

    def own_dimensions(self, dimensions: int | None) -> int | None:
        """`dimensions` as vLLM takes them; None for the model's own.

        Raises:
            UnsupportedField: the model has no Matryoshka embeddings.
            InvalidRequest: the model has Matryoshka embeddings, but not of this length.
        """
        if dimensions is None or dimensions == (size := self._embedding_size):
            return None
        config = self.client.model_config
        if not config.is_matryoshka:
            raise UnsupportedField(
                "dimensions", f"'{self.model}' has no Matryoshka embeddings, its vectors have {size} values"
            )
        known: Sequence[int] | None = config.matryoshka_dimensions
        if known is not None and dimensions not in known:
            listed = ", ".join(map(str, sorted(known)))
            raise InvalidRequest(f"Set 'dimensions' to one of {listed}, not {dimensions}.", "dimensions")
        if dimensions > size:
            raise InvalidRequest(f"Set 'dimensions' to at most {size}, not {dimensions}.", "dimensions")
        return dimensions

    async def pool(
        self, request_id: str, prompts: Sequence[PoolingPrompt], *, dimensions: int | None = None, priority: int = 0
    ) -> list[Any]:
        """Tensors (CPU, 1D float) of `prompts`: vectors of a model that embeds, one value of one that ranks.

        Cancelling the call aborts all its requests in the engine; so does the failure of one.

        Args:
            request_id: Unique among the engine's requests.
            prompts: At least one; none is empty.
            dimensions: Length of the vectors. None: the model's own.
            priority: vLLM's order of scheduling; lower values run first.

        Raises:
            InvalidRequest: vLLM refused a prompt as the caller's error.
            Overloaded: vLLM's own limit on waiting requests is reached.
            EngineUnavailable: the engine process died.
            EngineFailed: any other error; its text is in the log only.
        """
        tasks = [
            asyncio.create_task(self._one(f"{request_id}-{number}", prompt, dimensions, priority))
            for number, prompt in enumerate(prompts)
        ]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, request_id: str, prompt: PoolingPrompt, dimensions: int | None, priority: int) -> Any:
        params = PoolingParams(task=VLLM_TASKS[self.task], dimensions=dimensions)  # type: ignore[arg-type]
        if prompt.first_segment is not None:
            params.extra_kwargs = {"compressed_token_type_ids": prompt.first_segment}
        last: PoolingRequestOutput[Any] | None = None
        try:
            outputs = self.client.encode(tokens_input([*prompt.token_ids]), params, request_id, priority=priority)
            try:
                async for output in outputs:
                    last = output
                    self.progress_at = time.monotonic()
            finally:
                await outputs.aclose()
            if last is None or not last.finished:
                raise IncompleteGeneration(self.model)
            tensor = last.outputs.data.float().cpu().flatten()
            if not bool(tensor.isfinite().all()):
                raise EngineFailed(self.model, "it computed values that are no finite numbers; use another dtype")
        except MoaError:
            self._aborted += 1
            raise
        except asyncio.CancelledError:
            self._aborted += 1
            raise
        except Exception as error:
            self._aborted += 1
            raise translated(self.model, request_id, error, dead=self.dead) from None
        self._finished += 1
        return tensor

    async def round_trip(self, timeout_s: float) -> None:
        """Compute the vector or score of one token, ahead of all other requests.

        Raises:
            EngineUnavailable: the engine is dead, or produced no output for any request within `timeout_s`.
        """
        if self.dead:
            raise EngineUnavailable(self.model, ENGINE_DIED)
        started_at = time.monotonic()
        self._health_checks += 1
        try:
            checking = self.pool(f"health-{started_at}", [PoolingPrompt((0,))], priority=-1_000_000)
            await asyncio.wait_for(checking, timeout_s)
        except TimeoutError:
            if self.progress_at < started_at:
                raise EngineUnavailable(self.model, f"its engine produced no output for {timeout_s:g} s") from None
        finally:
            self._health_checks -= 1

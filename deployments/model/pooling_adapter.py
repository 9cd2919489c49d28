"""Adapter of vLLM's `AsyncLLM` for pooling models: token prompts in, tensors out."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.inputs.engine import tokens_input
from vllm.outputs import PoolingRequestOutput
from vllm.pooling_params import PoolingParams

from deployments.model.engine_adapter import EngineAdapter
from deployments.model.engine_errors import translated
from serving.errors import (
    ConfigError,
    EngineFailed,
    IncompleteGeneration,
    InvalidRequest,
    MoaError,
    UnsupportedField,
)
from serving.pooling import PoolingTask
from serving.tenant import ANYONE, Tenant

VLLM_TASKS: dict[PoolingTask, Literal["embed", "classify"]] = {"embed": "embed", "rerank": "classify"}
REMEDIES: dict[PoolingTask, str] = {
    "embed": "set task: rerank if it is a cross-encoder",
    "rerank": "set task: embed, or give it a classification head (engine_kwargs.convert or hf_overrides)",
}


@dataclass(frozen=True, slots=True)
class PoolingPrompt:
    """Token ids of one prompt. `first_segment`: number of those of its first text, for models that tell texts apart."""

    token_ids: tuple[int, ...]
    first_segment: int | None = None


class PoolingAdapter(EngineAdapter):
    """Source of vectors and scores on top of an `AsyncLLM`, which batches the prompts that wait."""

    def __init__(self, model: str, task: PoolingTask, engine: VLLMEngine) -> None:
        super().__init__(model, engine)
        self.task = task

    async def check_task(self) -> None:
        """Raise `ConfigError` if the model, as vLLM has loaded it, does not do its task."""
        offered = [str(task) for task in await self.client.get_supported_tasks()]
        if VLLM_TASKS[self.task] not in offered:
            raise ConfigError(
                f"'{self.model}' cannot {self.task}: vLLM offers {', '.join(sorted(offered))} for it;"
                f" {REMEDIES[self.task]}."
            )

    @cached_property
    def _embedding_size(self) -> int:
        """Length of the model's vectors, which vLLM reads from the model's files."""
        return int(self.client.model_config.embedding_size)

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
        self,
        request_id: str,
        prompts: Sequence[PoolingPrompt],
        *,
        dimensions: int | None = None,
        priority: int = 0,
        tenant: Tenant = ANYONE,
    ) -> list[Any]:
        """Tensors (CPU, 1D float) of `prompts`: vectors of a model that embeds, one value of one that ranks.

        Cancelling the call aborts all its requests in the engine; so does the failure of one.

        Args:
            request_id: Unique among the engine's requests.
            prompts: At least one; none is empty.
            dimensions: Length of the vectors. None: the model's own.
            priority: vLLM's order of scheduling; lower values run first.
            tenant: The caller's; tenants share the engine equally at equal priority, and no cache if isolated.

        Raises:
            InvalidRequest: vLLM refused a prompt as the caller's error.
            Overloaded: vLLM's own limit on waiting requests is reached.
            EngineUnavailable: the engine process died.
            EngineFailed: any other error; its text is in the log only.
        """
        tasks = [
            asyncio.create_task(self._one(f"{request_id}-{number}", prompt, dimensions, priority, tenant))
            for number, prompt in enumerate(prompts)
        ]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(
        self, request_id: str, prompt: PoolingPrompt, dimensions: int | None, priority: int, tenant: Tenant
    ) -> Any:
        params = PoolingParams(task=VLLM_TASKS[self.task], dimensions=dimensions)
        if prompt.first_segment is not None:
            params.extra_kwargs = {"compressed_token_type_ids": prompt.first_segment}
        last: PoolingRequestOutput[Any] | None = None
        given = tokens_input([*prompt.token_ids], cache_salt=tenant.scope or None)
        turn = self.queue.turn(tenant.id, priority, prompt_tokens=len(prompt.token_ids))
        try:
            await turn.enter()
            outputs = self.client.encode(given, params, request_id, priority=turn.rank)
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
        except (MoaError, asyncio.CancelledError):
            self._aborted += 1
            raise
        except Exception as error:
            self._aborted += 1
            raise translated(self.model, request_id, error, dead=self.dead) from None
        finally:
            turn.leave(0)
        self._finished += 1
        return tensor

    async def _one_token(self, request_id: str, *, priority: int) -> None:
        await self.pool(request_id, [PoolingPrompt((0,))], priority=priority)

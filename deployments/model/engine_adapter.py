"""Common part of the adapters of vLLM's `AsyncLLM`, whatever their models compute: counters and health."""

import asyncio
import os
import time
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.v1.engine.async_llm import AsyncLLM

from deployments.model.engine_errors import ENGINE_DIED
from deployments.model.lean_engine import LeanVLLMEngine
from deployments.wire import EngineStats
from serving.errors import EngineUnavailable
from serving.runtime.fair_queue import FairQueue


class EngineAdapter(ABC):
    """An `AsyncLLM` and what this replica counts of it since its start."""

    def __init__(self, model: str, engine: VLLMEngine) -> None:
        self.model = model
        client: Any = engine._engine_client
        assert isinstance(client, AsyncLLM)
        self.client: AsyncLLM = client
        self._finished: int = 0
        self._aborted: int = 0
        self._generated: int = 0  # tokens
        self._health_checks: int = 0  # in the engine now
        self.progress_at: float = time.monotonic()  # time of the engine's last output

    @classmethod
    def engine_class(cls) -> type[VLLMEngine]:
        """Class of the engine that `LLMServer` starts."""
        return LeanVLLMEngine

    @property
    def context_tokens(self) -> int:
        """Length of the model's context."""
        return int(self.client.model_config.max_model_len)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids that the model knows."""
        return int(self.client.model_config.get_vocab_size())

    @cached_property
    def queue(self) -> FairQueue:
        """Order of the engine's calls."""
        return FairQueue(int(self.client.vllm_config.scheduler_config.max_num_seqs))

    @property
    def dead(self) -> bool:
        """True if the engine process ended or failed for good."""
        return bool(self.client.errored)

    def stats(self) -> EngineStats:
        """Requests held now, without health checks, and totals since the start."""
        unfinished = self.client.get_num_unfinished_requests() - self._health_checks
        return EngineStats(max(unfinished, 0), self._finished, self._aborted, self._generated, os.getpid())

    async def round_trip(self, timeout_s: float) -> None:
        """Let the engine compute one token, ahead of all other requests.

        Raises:
            EngineUnavailable: the engine is dead, or produced no output for any request within `timeout_s`.
        """
        if self.dead:
            raise EngineUnavailable(self.model, ENGINE_DIED)
        started_at = time.monotonic()
        self._health_checks += 1
        try:
            await asyncio.wait_for(self._one_token(f"health-{started_at}", priority=-1_000_000), timeout_s)
        except TimeoutError:
            if self.progress_at < started_at:
                raise EngineUnavailable(self.model, f"its engine produced no output for {timeout_s:g} s") from None
        finally:
            self._health_checks -= 1

    @abstractmethod
    async def _one_token(self, request_id: str, *, priority: int) -> None:
        """Let the engine compute one token."""

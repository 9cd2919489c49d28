"""Base of model replicas: ray.serve.llm's server around one engine, and its health."""

import asyncio
import logging
import os
import socket
from typing import Any

from ray.serve.llm import LLMConfig
from ray.serve.llm.deployment import LLMServer

from deployments.model.engine_adapter import EngineAdapter
from deployments.model.traced_options import traced_options
from deployments.model_spec import ModelSpec
from deployments.weights import check_weights
from deployments.wire import EngineStats
from serving.errors import EngineUnavailable
from serving.log_format import VARIABLE, set_log_format

ROUND_TRIP_S = 50.0  # a health check's token may wait behind a long prefill; below health_check_timeout_s

logger = logging.getLogger(__name__)


class EngineServer(LLMServer):
    """ray.serve.llm's server (placement, downloads, LoRA, engine metrics) with a smaller interface.

    Subclasses set `_engine` when it can answer.
    """

    _engine: EngineAdapter

    async def __init__(self, llm_config: LLMConfig, spec: ModelSpec, engine_cls: type[Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        """Start the engine.

        Raises:
            ConfigError: the weights' folder is missing or empty on this node.
        """
        check_weights(spec, f" on node {socket.gethostname()}")
        set_log_format("json" if os.environ.get(VARIABLE) == "json" else "text")
        if spec.generates:
            llm_config.update_engine_kwargs(**traced_options(spec.engine_kwargs, os.environ))
        await self._prepare(llm_config, spec)
        await super().__init__(llm_config, engine_cls=engine_cls)

    async def _prepare(self, llm_config: LLMConfig, spec: ModelSpec) -> None:
        """Complete the options of the engine with what only its node knows. Raises `ConfigError`."""

    async def _start_engine(self) -> None:
        """Start the engine like ray.serve.llm, without the actor that it starts for its telemetry."""
        engine: Any = self.engine
        await engine.start()

    async def stats(self) -> EngineStats:
        """Counters of the engine."""
        return self._engine.stats()

    async def check_health(self) -> None:
        """Serve's health check: one token through the engine, so that a hung engine is noticed too.

        A replica whose engine process died ends itself: Serve replaces it at once instead of after three failed checks.
        Raises `EngineUnavailable`.
        """
        engine = getattr(self, "_engine", None)
        if engine is None:
            return
        try:
            await engine.round_trip(ROUND_TRIP_S)
        except EngineUnavailable as error:
            logger.error("%s", error)
            if engine.dead:
                asyncio.get_running_loop().call_later(1.0, os._exit, 1)  # failed requests get their errors first
            raise

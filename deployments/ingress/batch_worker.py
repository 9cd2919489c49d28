"""The deployment that answers the lines of batches, beside the orchestrators."""

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.config import Profile
from deployments.ingress.deployment import QUIET, Orchestration


class BatchWorker(Orchestration):
    """One replica without HTTP: it has the API of an orchestrator, and asks it itself.

    Should it be started twice, as during an update, each batch belongs to one of them by its lease.
    """

    async def __init__(self, profile: Profile, **handles: DeploymentHandle[Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        """Begin to work. `handles`: as of `Orchestration`."""
        super().__init__(profile, **handles)
        app = await self.api(answers_batches=True)
        running = AsyncExitStack()
        await running.enter_async_context(app.router.lifespan_context(app))
        self._running: AsyncExitStack | None = running

    def __del__(self) -> Awaitable[None] | None:
        """Put back the lines in progress. Serve awaits this before it stops the replica; Python's own call is later."""
        running, self._running = getattr(self, "_running", None), None
        return None if running is None else running.aclose()


def worker_options(profile: Profile) -> dict[str, Any]:
    """Serve's options of the worker: one replica without GPUs."""
    spec = profile.orchestrator
    return {
        "name": "batches",
        "num_replicas": 1,
        "graceful_shutdown_timeout_s": spec.drain_s,
        "graceful_shutdown_wait_loop_s": min(1.0, spec.drain_s),
        "ray_actor_options": {
            "num_cpus": profile.batches.num_cpus,
            "resources": dict(profile.batches.resources),
            "runtime_env": {"env_vars": dict(profile.env)},
        },
        "logging_config": QUIET,
    }

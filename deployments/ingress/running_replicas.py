"""Numbers of running replicas, as Serve's controller knows them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

logger = logging.getLogger("serving.deployments")
FRESH_S = 1.0  # age up to which an answer of the controller is used again
ANSWER_S = 5.0  # time for an answer of the controller
Deployment = tuple[str, str]  # names of the application and the deployment


def counted() -> dict[Deployment, int]:
    """Running replicas of every deployment. Blocks for one call of the controller; raises what Ray raises."""
    return {
        (application, name): sum(count for state, count in deployment.replica_states.items() if state == "RUNNING")
        for application, status in serve.status().applications.items()
        for name, deployment in status.deployments.items()
    }


class RunningReplicas:
    """Running replicas of deployments. The controller is asked on demand, at most once per `FRESH_S`."""

    def __init__(self, count: Callable[[], Mapping[Deployment, int]] = counted) -> None:
        """Use `count` to ask the controller, in a thread."""
        self._count = count
        # A thread of its own: a controller that is lost blocks it.
        self._thread = ThreadPoolExecutor(1, "running-replicas")
        self._counting: asyncio.Task[Mapping[Deployment, int]] | None = None
        self._counted_at = 0.0  # loop time

    async def of(self, handle: DeploymentHandle[Any]) -> int | None:
        """Running replicas of the handle's deployment. None: unknown, since the controller did not answer."""
        loop = asyncio.get_running_loop()
        if self._counting is None or (self._counting.done() and loop.time() - self._counted_at >= FRESH_S):
            self._counting = asyncio.create_task(self._ask())
        counts = await asyncio.shield(self._counting)  # others wait for it, too
        return counts.get((handle.app_name, handle.deployment_name))

    def forget(self) -> None:
        """Ask the controller again at the next call."""
        self._counting = None

    async def _ask(self) -> Mapping[Deployment, int]:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._count)
        except Exception as error:  # the controller is being replaced: replicas serve without it
            logger.warning("Serve's controller did not say which replicas run (%s)", type(error).__name__)
            return {}
        finally:
            self._counted_at = asyncio.get_running_loop().time()

"""A model deployment's handle as a pooling engine."""

import asyncio
import math
from dataclasses import replace
from typing import Any, TypeVar

from ray.serve.handle import DeploymentHandle

from deployments.ingress.remote_engine import check_replicas, translated
from deployments.ingress.span_context import below
from serving.errors import DeadlineExceeded, EngineUnavailable
from serving.pooling import EmbedRequest, PoolingEngine, PoolingInfo, RerankRequest, Scores, Vectors
from serving.runtime.hedging import RetryBudget

Asked = TypeVar("Asked", EmbedRequest, RerankRequest)


class RemotePooling(PoolingEngine):
    """The replicas of one model that embeds or ranks. A call always has a deadline: Serve waits forever for a replica.

    A request goes to one replica as a whole, the less loaded of two.
    """

    def __init__(
        self,
        model: str,
        handle: DeploymentHandle[Any],
        info: PoolingInfo,
        *,
        deadline_s: float,
        retries: RetryBudget | None = None,
    ) -> None:
        """Wrap the handle of `model`'s deployment.

        Args:
            model: id of the model.
            handle: its deployment.
            info: properties of the model.
            deadline_s: deadline of requests without one of their own.
            retries: budget of second attempts, which all engines of a server share; None: one of its own.
        """
        self.model = model
        self._info, self._deadline_s = info, deadline_s
        # By value: by reference each result would become an object in Ray's store.
        self._embed = handle.options(method_name="embed", _by_reference=False)
        self._rerank = handle.options(method_name="rerank", _by_reference=False)
        self._calls = handle.options(_by_reference=False)
        self._retries = retries or RetryBudget()
        self._answered_at = -math.inf  # loop time of the last answer; -inf after the deployment was lost

    @property
    def info(self) -> PoolingInfo:
        return self._info

    async def embed(self, request: EmbedRequest) -> Vectors:
        """Embed each input.

        Raises:
            DeadlineExceeded: the deadline of the request, or else of the deployment, passed.
            EngineUnavailable: no replica is ready, or two were lost.
            Overloaded: as many requests wait as the deployment allows.
            MoaError: the replica's own error.
        """
        vectors: Vectors = await self._call(self._embed, request)
        return vectors

    async def rerank(self, request: RerankRequest) -> Scores:
        """Score each document. Raises as `embed`."""
        scores: Scores = await self._call(self._rerank, request)
        return scores

    async def check_health(self) -> None:
        """Return if a replica answers, or the deployment is overloaded but works; else raise `EngineUnavailable`."""
        await check_replicas(self.model, self._calls, self._answered_at)

    async def _call(self, handle: DeploymentHandle[Any], request: Asked) -> Any:
        """Result of one call; a replica that is lost is replaced by another, once, within the `RetryBudget`."""
        self._retries.started()
        deadline_s = self._deadline_s if request.deadline_s is None else request.deadline_s
        ends_at = asyncio.get_running_loop().time() + deadline_s
        try:
            return await self._once(handle, request, ends_at, deadline_s)
        except EngineUnavailable:
            if not self._retries.take():
                raise
            again = replace(request, request_id=f"{request.request_id}-again")
            return await self._once(handle, again, ends_at, deadline_s)

    async def _once(self, handle: DeploymentHandle[Any], request: Asked, ends_at: float, deadline_s: float) -> Any:
        with below(request.trace):
            response: Any = handle.remote(request)
        try:
            async with asyncio.timeout_at(ends_at):
                result = await response
        except TimeoutError:
            response.cancel()  # leaving does not
            raise DeadlineExceeded(f"'{self.model}'", deadline_s) from None
        except asyncio.CancelledError:
            response.cancel()
            raise
        except Exception as error:
            known = translated(self.model, error)
            if isinstance(known, EngineUnavailable):
                self._answered_at = -math.inf
            if known is error:
                raise
            raise known from error
        self._answered_at = asyncio.get_running_loop().time()
        return result

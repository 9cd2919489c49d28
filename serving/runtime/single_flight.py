"""Identical deterministic calls in flight at the same time are computed once.

Two proposers of one model at temperature 0, or two callers of a model with the same question, would make an engine
compute the same tokens twice. Only calls that are not streamed are shared, and none between isolated tenants: the time
of a shared call would tell one what the other asks.
"""

import asyncio
from dataclasses import dataclass, replace

from serving.engine import Engine, complete
from serving.tenant import Tenant
from serving.types import Completion, GenerateRequest, MoaOptions


@dataclass
class _Flight:
    task: asyncio.Task[Completion]
    waiting: int = 0


class SingleFlight:
    """Whole answers from engines, shared between identical calls in flight."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}
        self.shared = 0  # calls that cost no engine work

    async def complete(self, model: str, engine: Engine, request: GenerateRequest) -> Completion:
        """Like `serving.engine.complete`, for a request whose sampling is deterministic.

        The engine's work ends when the last waiting caller leaves.
        """
        # A request's `repr` holds every field and, unlike the request with its mappings, hashes.
        key = model + repr(
            replace(
                request,
                request_id="",
                priority=0,
                deadline_s=None,
                metadata={},
                moa=MoaOptions(),
                user=None,
                session=None,
                tenant=Tenant(request.tenant.scope),
            )
        )
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(complete(model, engine, request)))
        else:
            self.shared += 1
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if self._flights.get(key) is flight and (flight.task.done() or not flight.waiting):
                del self._flights[key]
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
                await asyncio.wait([flight.task])

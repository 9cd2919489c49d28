"""Retries under full failure: the number of times that a dead cluster is asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from loadtest.torture.effort import Effort
from loadtest.torture.row import Row
from loadtest.torture.stage import TEAM, TRIO, orchestrate
from serving.conversation import Message
from serving.engine import complete
from serving.errors import MoaError
from serving.orchestrator import Orchestrator
from serving.recipes.cost import Limits
from serving.runtime.hedging import RetryBudget
from serving.types import GenerateRequest

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

MOST_RATIO = 1.2


class LostHandle:
    """Stand-in of a deployment's handle: each call is counted and its replica is lost."""

    def __init__(self) -> None:
        self.calls = 0

    def options(self, **options: object) -> "LostHandle":
        """The handle itself."""
        return self

    def remote(self, *arguments: object) -> "LostCall":
        """One call."""
        self.calls += 1
        return LostCall()


class LostCall:
    """Response whose replica is lost before its first item."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        from ray.exceptions import RayActorError

        raise RayActorError
        yield

    def cancel(self) -> None:
        """Nothing runs."""


async def _outcome(team: Orchestrator, name: str, number: int) -> str:
    request = GenerateRequest(f"r{number}", (Message("user", f"question {number}"),))
    try:
        await complete(name, team.engines[name], request)
    except MoaError as error:
        return error.code
    return "answered"


async def measure(effort: Effort) -> list[Row]:
    """Ask a dead cluster, as a team with up to five retries per proposer and as a single model."""
    from deployments.ingress.remote_engine import RemoteEngine  # imports Ray

    rows = []
    for name, calls in (("team", len(TRIO)), ("a", 1)):
        handle, limits = LostHandle(), Limits()
        budget = RetryBudget(limits.retry_share, limits.retry_burst)
        models: dict[str, Any] = {
            model: RemoteEngine(model, cast("DeploymentHandle[Any]", handle), deadline_s=60, retries=budget)
            for model in TRIO
        }
        recipe = {"preset": TEAM, "id": "team", "retries": 5}
        team = orchestrate(models, [recipe], limits=limits, retries=budget)
        count = effort.count(3000, 1000)
        outcomes: Counter[str] = Counter()
        for first in range(0, count, 50):
            outcomes.update(await asyncio.gather(*(_outcome(team, name, first + n) for n in range(50))))
        ratio = handle.calls / (calls * count)
        typed = outcomes["quorum_not_reached"] + outcomes["engine_unavailable"]
        who = f"a team with retries: {recipe['retries']}" if name == "team" else "a single model"
        rows.append(
            Row(
                f"A cluster that fails as a whole is asked at most {MOST_RATIO} times as often: {who}",
                f"{handle.calls:,} attempts for {calls * count:,} calls (x {ratio:.2f}); {typed} of {count} requests"
                " answered with a typed 503",
                f"x {MOST_RATIO}; all typed",
                ratio <= MOST_RATIO and typed == count,
            )
        )
    return rows

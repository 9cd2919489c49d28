"""Stragglers and hedging: what one slow proposer, or a slow replica now and then, costs an answer."""

import asyncio
import random
from collections.abc import AsyncGenerator
from functools import partial

from loadtest.torture.effort import Effort
from loadtest.torture.row import Row, quantile
from loadtest.torture.stage import orchestrate, trio
from serving.conversation import Message
from serving.engine import complete
from serving.engines.simulated_loop import simulated
from serving.orchestrator import Orchestrator
from serving.types import Completion, Delta, GenerateRequest

FAST_S = 0.05
SLOWER = 20  # times
GRACE_S = 0.2
SLOW_SHARE = 0.02  # of the calls of a model with a slow replica; well below the 5% beyond the quantile


async def _asked(team: Orchestrator, name: str, number: int) -> tuple[float, Completion]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    request = GenerateRequest(f"r{number}", (Message("user", f"question {number}"),))
    done = await complete(name, team.engines[name], request)
    return loop.time() - began, done


async def straggler(effort: Effort) -> Row:
    """One of three proposers is 20 times slower; the layer's grace is 0.2 s."""
    models = trio(ttft_s=FAST_S)
    models["c"].ttft_s = FAST_S * SLOWER
    recipe = {"preset": "moa-lite", "id": "team", "min_proposals": 2, "straggler_grace_s": GRACE_S}
    team = orchestrate(models, [recipe])
    answers = [await _asked(team, "team", number) for number in range(effort.count(30, 3))]
    slowest_s = max(seconds for seconds, _ in answers)
    declared = all(done.report is not None and done.report.degraded for _, done in answers)
    limit_s = 2 * FAST_S + GRACE_S + 0.05
    return Row(
        f"One proposer that is {SLOWER} times slower costs the grace of its layer ({GRACE_S} s), and is declared",
        f"slowest of {len(answers)} answers {slowest_s * 1000:.0f} ms, without the straggler"
        f" {2 * FAST_S * 1000:.0f} ms; declared: {'all' if declared else 'not all'}",
        f"{limit_s * 1000:.0f} ms, where the straggler alone takes {FAST_S * SLOWER * 1000:.0f} ms",
        slowest_s <= limit_s and declared,
    )


async def hedging(effort: Effort) -> Row:
    """A replica now and then is slow; a second attempt is asked for within the budget of 5%."""
    p99s: list[float] = []
    extra = 0.0
    for hedge in (False, True):
        rng = random.Random(1)  # the same draws with and without

        async def sometimes_slow(
            request: GenerateRequest, stream: AsyncGenerator[Delta, None], rng: random.Random = rng
        ) -> AsyncGenerator[Delta, None]:
            slow = rng.random() < SLOW_SHARE
            await asyncio.sleep(FAST_S * (SLOWER if slow else rng.uniform(0.8, 1.2)))
            async for delta in stream:
                yield delta

        models = trio(intercept=sometimes_slow, replicas=2)
        models["a"].intercept = None  # the aggregator
        recipe = {"preset": "moa-lite", "id": "team", "layers": [["b"]], "aggregator": "a", "hedge": hedge}
        team = orchestrate(models, [recipe])
        count = effort.count(1200, 200)
        seconds: list[float] = []
        for first in range(0, count, 20):
            done = await asyncio.gather(*(_asked(team, "team", number) for number in range(first, first + 20)))
            seconds += [one for one, _ in done]
        p99s.append(quantile(seconds[count // 4 :], 0.99))
        extra = team.runtime.budget.hedges / team.runtime.budget.calls
    ratio = p99s[1] / p99s[0]
    return Row(
        f"Hedging shortens the tail where {SLOW_SHARE:.0%} of calls are {SLOWER} times slower, for at most 5% more"
        " calls",
        f"p99 {p99s[0] * 1000:.0f} ms without, {p99s[1] * 1000:.0f} ms with (x {ratio:.2f}); {extra:.1%} more calls",
        "p99 at most half; calls at most 5% more",
        ratio <= 0.5 and extra <= 0.05,
    )


async def measure(effort: Effort) -> list[Row]:
    """Measure both rows, in simulated time."""
    return [await simulated(partial(straggler, effort)), await simulated(partial(hedging, effort))]

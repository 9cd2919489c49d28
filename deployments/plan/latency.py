"""Latency of each recipe by the roofline of its models: the recipe runs on scripted engines and a simulated clock.

Every strategy is timed as it runs, with its layers, its quorum and its deadlines. Not counted: queues, the network, the
time that prefills save, and thinking, whose tokens count as those of the answer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from deployments.plan.roofline import Roofline
from serving.conversation import Message
from serving.engine import Engine
from serving.engines.scripted import Interceptor, ScriptedEngine
from serving.engines.scripted_tokens import prompt_tokens
from serving.engines.simulated_loop import SimulatedLoop
from serving.orchestrator import Orchestrator
from serving.recipes import Recipe
from serving.types import Delta, GenerateRequest, Sampling


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a request's start to its first token of text, and to the end of the answer."""

    ttft_s: float
    answer_s: float


def latencies(
    recipes: Mapping[str, Recipe],
    rooflines: Mapping[str, Roofline],
    *,
    prompt_tokens: int,
    answer_tokens: int,
    batch: int = 1,
) -> dict[str, Latency]:
    """Latency of each recipe and of each model alone, by id.

    Args:
        recipes: recipes by id.
        rooflines: roofline of each model that generates text, by id.
        prompt_tokens: length of the caller's question.
        answer_tokens: length of the answer of each agent without a limit of its own.
        batch: requests that each replica has in progress, this one included.

    Raises:
        MoaError: a recipe fails on such answers.
    """
    question = Message("user", " ".join(["word"] * prompt_tokens))
    request = GenerateRequest("latency", (question,), Sampling(max_tokens=answer_tokens, temperature=0))

    def engines() -> dict[str, Engine]:
        answer = " ".join(["word"] * answer_tokens)
        return {
            model: ScriptedEngine(model, answer, intercept=timed(roofline, batch))
            for model, roofline in rooflines.items()
        }

    return {name: _latency(name, recipes, engines, request) for name in (*recipes, *rooflines)}


def _latency(
    name: str, recipes: Mapping[str, Recipe], engines: Callable[[], dict[str, Engine]], request: GenerateRequest
) -> Latency:
    async def run() -> Latency:
        loop = asyncio.get_running_loop()
        first_s = None
        async with aclosing(Orchestrator(engines(), recipes).engines[name].generate(request)) as stream:
            async for delta in stream:
                if first_s is None and delta.text:
                    first_s = loop.time()
        ended_s = loop.time()
        return Latency(ended_s if first_s is None else first_s, ended_s)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(run())


def timed(roofline: Roofline, batch: int) -> Interceptor:
    """Interceptor of a scripted engine that gives its streams the times of `roofline`, with `batch` requests at a time.

    The `n` choices of one call are decoded together, so they count as `n` requests.
    """

    async def intercept(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        prompt, choices = prompt_tokens(request.messages), request.sampling.n
        completion = request.sampling.max_tokens or 1
        token_s = roofline.token_s(prompt, completion, batch=batch + choices - 1)
        await asyncio.sleep(roofline.prefill_s(prompt))
        written = 0
        async with aclosing(stream):
            async for delta in stream:
                ends = delta.finish_reason is not None
                if request.streaming and delta.index == 0 and not ends:
                    await asyncio.sleep(token_s if written else 0)
                    written += 1
                elif not request.streaming and delta.index == 0 and ends:
                    await asyncio.sleep(token_s * (len(delta.text.split()) - 1))
                yield delta

    return intercept

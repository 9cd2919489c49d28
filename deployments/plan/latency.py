"""Latency of each recipe by the roofline of its models: the recipe runs on scripted engines and a simulated clock.

Every strategy is timed as it runs, with its layers, its quorum and its deadlines. Not counted: queues, the network,
thinking, and the time that prefills ahead save.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count

from deployments.plan.roofline import Roofline
from deployments.plan.worst_case import UNGRADED, UNSURE, ExpensiveEngine
from serving.conversation import Message
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_tokens import prompt_tokens as prompt_tokens_of
from serving.engines.simulated_loop import SimulatedLoop
from serving.orchestrator import Orchestrator
from serving.recipes import Recipe
from serving.types import Delta, GenerateRequest, Sampling


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a request's start to its first token of text, and to the end of the answer."""

    ttft_s: float
    answer_s: float
    stragglers: tuple[str, ...] = ()  # models whose proposals the recipe does not wait for (`straggler_grace_s`)


def latencies(
    recipes: Mapping[str, Recipe],
    rooflines: Mapping[str, Roofline],
    *,
    prompt_tokens: int,
    answer_tokens: int,
    batch: int = 1,
    parents: Mapping[str, str] | None = None,
    unsure: bool = False,
) -> dict[str, Latency]:
    """Latency of each recipe and of each model alone, by id.

    Args:
        recipes: recipes by id.
        rooflines: roofline of each model that generates text, by id.
        prompt_tokens: length of the caller's question.
        answer_tokens: length of the answer of each agent without a limit of its own.
        batch: requests that each replica has in progress, this one included.
        parents: by the id of each LoRA adapter, the model whose replica computes its answers.
        unsure: no model is sure of its answer, and no two agree.

    Raises:
        MoaError: a recipe fails on such answers.
    """
    question = Message("user", " ".join(["word"] * prompt_tokens))
    request = GenerateRequest("latency", (question,), Sampling(max_tokens=answer_tokens))

    def engines() -> dict[str, Engine]:
        answer = " ".join(["word"] * answer_tokens)
        replicas = {model: TimedReplica(roofline, batch - 1) for model, roofline in rooflines.items()}
        replica_of = {model: model for model in rooflines} | dict(parents or {})
        numbers = count(UNGRADED)
        return {
            name: ScriptedEngine(
                name,
                ExpensiveEngine(name, prompt_tokens_of, numbers, answer_tokens).write if unsure else answer,
                logprob=UNSURE if unsure else 0.0,
                intercept=replicas[model],
            )
            for name, model in replica_of.items()
        }

    return {name: _latency(name, recipes, engines, request) for name in (*recipes, *rooflines)}


def _latency(
    name: str, recipes: Mapping[str, Recipe], engines: Callable[[], dict[str, Engine]], request: GenerateRequest
) -> Latency:
    async def run() -> Latency:
        loop = asyncio.get_running_loop()
        first_s, stragglers = None, set[str]()
        async with aclosing(Orchestrator(engines(), recipes).engines[name].generate(request)) as stream:
            async for delta in stream:
                if first_s is None and delta.text:
                    first_s = loop.time()
                if delta.report is not None:
                    stragglers |= {agent.model for agent in delta.report.agents if agent.status == "straggler"}
        ended_s = loop.time()
        return Latency(ended_s if first_s is None else first_s, ended_s, tuple(sorted(stragglers)))

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(run())


class TimedReplica:
    """Interceptor of a scripted engine that gives its streams the times of a roofline.

    Calls that the recipe makes at the same time share the replica with each other and with those of other requests.
    """

    def __init__(self, roofline: Roofline, others: int) -> None:
        """Time the calls by `roofline`, next to `others` calls of other requests that are always in progress."""
        self.roofline, self.others = roofline, others
        self.calls = self.choices = 0  # of this request, in progress

    def __call__(self, request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        return self._timed(request, stream)

    async def _timed(
        self, request: GenerateRequest, stream: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        prompt, answer = prompt_tokens_of(request.messages), request.sampling.max_tokens or 1
        choices = request.sampling.n
        self.calls, self.choices = self.calls + 1, self.choices + choices
        try:
            await asyncio.sleep(self.roofline.prefill_s(prompt))
            written = 0
            async with aclosing(stream):
                async for delta in stream:
                    ends = delta.finish_reason is not None
                    if delta.index == 0 and request.streaming != ends:
                        tokens = 1 if request.streaming else len(delta.text.split())
                        for _ in range(tokens):
                            await asyncio.sleep(self._token_s(prompt, answer) if written else 0)
                            written += 1
                    yield delta
        finally:
            self.calls, self.choices = self.calls - 1, self.choices - choices

    def _token_s(self, prompt: int, answer: int) -> float:
        calls, choices = self.others + self.calls, self.others + self.choices
        return self.roofline.token_s(prompt, answer, calls=calls, choices=choices)

"""LLM-Blender (arXiv 2306.02561): rank all pairs, then fuse the best.

The paper ranks with a trained pairwise model; here a served model compares each pair in both orders, so that a
preference for a position cancels out.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from itertools import permutations
from typing import ClassVar, Literal

from pydantic import Field, StrictInt

from serving.recipes.base import Answering, Recipe
from serving.recipes.cost import Cost
from serving.recipes.judging import VERDICT, choose, chosen
from serving.references import References
from serving.runtime.agents import Agent, AgentField, Team
from serving.runtime.reasons import UNREADABLE_BLEND
from serving.runtime.run import Run, Strategy
from serving.types import Delta, Sampling


class Blend(Answering):
    """The `top` proposals by pairwise wins, synthesized by the aggregator."""

    strategy: Literal["blend"] = "blend"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request | {"models", "top"}
    team = "proposers"
    tool_modes = ("final", "vote")
    caller = "the aggregator; with `vote` proposers, before the judge is asked"
    final = "aggregator"
    proposers: Team
    judge: AgentField
    aggregator: AgentField
    top: StrictInt = Field(default=3, ge=1, description="Number of proposals that the aggregator reads.")

    def agents(self) -> Iterable[Agent]:
        return (*self.proposers, self.judge, self.aggregator, *(self.fallbacks or ()))

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        pairs = len(self.proposers) * (len(self.proposers) - 1)
        comparing = Cost(pairs, pairs * int(VERDICT["max_tokens"]))
        return self.proposals_cost(self.proposers, sampling) + comparing + self.answer_cost(self.aggregator, sampling)

    def steps(self, recipe_of: Callable[[str], Strategy | None]) -> int:
        return 2

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        pairs = 2 * len(self.proposers)  # with each proposal, in both orders
        return Cost(pairs, pairs * int(VERDICT["max_tokens"]))

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        return await self.aggregated(run, self._best, self.aggregator, self.proposers)

    async def _best(self, run: Run) -> References:
        references = await run.propose(self.proposers, steps=self.steps(run.recipe))
        if run.concluded:
            return references
        best = await self._ranked(run, references) if len(references) > self.top else references
        return best[: self.top]

    async def _ranked(self, run: Run, references: References) -> References:
        pairs = [*permutations(range(len(references)), 2)]
        questions = [choose(run.request.messages, [references[i] for i in pair]) for pair in pairs]
        verdicts = await run.consult(self.judge, questions, sampling=VERDICT)
        wins = [0] * len(references)
        for pair, verdict in zip(pairs, verdicts, strict=True):
            place = chosen(verdict, 2)
            if place is not None:
                wins[pair[place]] += 1
        if not any(wins):
            run.degrade(UNREADABLE_BLEND())
        order = sorted(range(len(references)), key=lambda slot: (-wins[slot], slot))
        return tuple(references[slot] for slot in order)

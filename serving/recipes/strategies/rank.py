"""A model picks one of the proposals. Every candidate is shown once in every position, so that none is favoured."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, StrictInt

from serving.recipes.base import Recipe
from serving.recipes.cost import FREE, Cost
from serving.recipes.judging import VERDICT, choose, chosen
from serving.references import References
from serving.runtime.agents import Agent, AgentField, Team
from serving.runtime.policy import ToolMode
from serving.runtime.reasons import UNREADABLE_RANK
from serving.runtime.run import Run
from serving.runtime.task import Task
from serving.types import Delta, Sampling


class Rank(Recipe):
    """The proposal with the most votes of the judge over rotated orders; ties go to the earlier proposal."""

    strategy: Literal["rank"] = "rank"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request - {"advise", "tools"} | {"models"}
    without_effect = frozenset({"advise"})
    team = "proposers"
    tool_modes = ("vote",)
    caller = "proposers; without agreement the judge picks a draft"
    picks = True
    tools: ToolMode = "vote"
    proposers: Team
    judge: AgentField
    rotations: StrictInt | None = Field(
        default=None, ge=1, description="Number of orders shown to the judge; by default all rotations."
    )

    def agents(self) -> Iterable[Agent]:
        return (*self.proposers, self.judge)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        orders = min(self.rotations or len(self.proposers), len(self.proposers))
        return self.proposals_cost(self.proposers, sampling) + Cost(orders, orders * int(VERDICT["max_tokens"]))

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        more = self.rotations is None or self.rotations > len(self.proposers)
        return Cost(1, int(VERDICT["max_tokens"])) if more else FREE

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        references = run.candidates(await run.propose(self.proposers, Task(as_answer=True)))
        if run.agreed is not None:
            return run.pick(run.agreed)
        votes = await self._votes(run, references) if len(references) > 1 else Counter({0: 1})
        if not votes:
            run.degrade(UNREADABLE_RANK())
        return run.pick(references[min(range(len(references)), key=lambda slot: (-votes[slot], slot))])

    async def _votes(self, run: Run, references: References) -> Counter[int]:
        count = len(references)
        shifts = range(min(self.rotations or count, count))
        orders = [[(place + shift) % count for place in range(count)] for shift in shifts]
        questions = [choose(run.request.messages, [references[i] for i in order]) for order in orders]
        verdicts = await run.consult(self.judge, questions, sampling=VERDICT, steps=0)
        votes: Counter[int] = Counter()
        for order, verdict in zip(orders, verdicts, strict=True):
            place = chosen(verdict, count)
            if place is not None:
                votes[order[place]] += 1
        return votes

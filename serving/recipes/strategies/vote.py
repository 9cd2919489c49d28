"""Self-consistency (arXiv 2203.11171): many answers, and the most frequent one among them."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, StrictInt

from serving.recipes.base import Recipe
from serving.recipes.cost import Cost
from serving.recipes.extraction import AnswerKind
from serving.recipes.voting import majority
from serving.runtime.agents import Agent, Team
from serving.runtime.policy import ToolMode
from serving.runtime.run import Run
from serving.runtime.task import Task
from serving.types import Delta, Sampling


class Vote(Recipe):
    """The first proposal with the most frequent answer or tool calls, as it was written; no aggregator."""

    strategy: Literal["vote"] = "vote"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request - {"advise", "tools"} | {
        "models",
        "samples",
        "answer_kind",
    }
    without_effect = frozenset({"advise", "answer_share"})  # nothing follows the proposals
    team = "proposers"
    tool_modes = ("vote",)
    caller = "proposers; without agreement the most frequent calls or text"
    picks = True
    tools: ToolMode = "vote"
    proposers: Team
    samples: StrictInt | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Number of answers, the team taking turns; by default one of each agent.",
    )
    answer_kind: AnswerKind = "text"

    def agents(self) -> Iterable[Agent]:
        return self.proposers

    def proposer_layers(self) -> tuple[tuple[Agent, ...], ...]:
        return (self._voters(),)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.proposals_cost(self._voters(), sampling)

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        references = run.candidates(await run.propose(self._voters(), Task(as_answer=True), steps=0))
        return run.pick(run.agreed or majority(references, self.answer_kind))

    def _voters(self) -> tuple[Agent, ...]:
        count = self.samples or len(self.proposers)
        return tuple(self.proposers[turn % len(self.proposers)] for turn in range(count))

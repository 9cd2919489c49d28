"""Self-consistency (arXiv 2203.11171): many answers, and the most frequent one among them."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, StrictFloat, StrictInt, model_validator

from serving.recipes.base import Recipe
from serving.recipes.cost import Cost
from serving.recipes.extraction import AnswerKind
from serving.recipes.voting import STOP, STOP_ERROR, Stop, majority, upset_probability
from serving.runtime.agents import Agent, Team
from serving.runtime.policy import ToolMode
from serving.runtime.run import Run
from serving.runtime.task import Arrived, Task
from serving.types import Delta, Sampling


class Vote(Recipe):
    """The first proposal with the most frequent answer or tool calls, as it was written; no aggregator."""

    strategy: Literal["vote"] = "vote"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request - {"advise", "tools"} | {
        "models",
        "samples",
        "answer_kind",
        "stop",
        "stop_error",
        "wave",
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
    stop: Stop = Field(default="certain", description=STOP)
    stop_error: StrictFloat = Field(default=0.05, gt=0, lt=0.5, description=STOP_ERROR)
    wave: StrictInt | None = Field(
        default=None,
        ge=1,
        description="Answers asked for at once; more only while the vote is open. By default all at once: that is the"
        " fastest, waves take fewer tokens.",
    )

    @model_validator(mode="after")
    def _waves_end(self) -> Self:
        if self.wave is not None and self.stop == "never":
            raise ValueError("wave has no effect with stop: never; remove one of them")
        return self

    def agents(self) -> Iterable[Agent]:
        return self.proposers

    def proposer_layers(self) -> tuple[tuple[Agent, ...], ...]:
        return (self._voters(),)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.proposals_cost(self._voters(), sampling)

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        voting = self.stop != "never" and not run.drafting  # calls are voted on by the layer itself
        found = await run.propose(
            self._voters(),
            Task(as_answer=True),
            steps=0,
            decision=self._decided if voting else None,
            wave=self.wave if voting else None,
        )
        references = run.candidates(found)
        return run.pick(run.agreed or majority(references, self.answer_kind))

    def _decided(self, arrived: Arrived) -> bool:
        upset = upset_probability(arrived, self.answer_kind)
        return upset <= (self.stop_error if self.stop == "likely" else 0)

    def _voters(self) -> tuple[Agent, ...]:
        count = self.samples or len(self.proposers)
        return tuple(self.proposers[turn % len(self.proposers)] for turn in range(count))

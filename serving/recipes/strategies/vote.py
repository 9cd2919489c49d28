"""Self-consistency (arXiv 2203.11171): many answers, and the most frequent one among them."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, StrictFloat, StrictInt, model_validator

from serving.config import FiniteNumbers
from serving.recipes.base import Recipe
from serving.recipes.cost import Cost
from serving.recipes.extraction import AnswerKind
from serving.recipes.voting import STOP, STOP_ERROR, Stop, confident_majority, majority, upset_probability
from serving.runtime.agents import Agent, Team
from serving.runtime.confidence import Confidence
from serving.runtime.policy import ToolMode
from serving.runtime.run import Run
from serving.runtime.task import Arrived, Task
from serving.types import Delta, Sampling


class ConfidenceSetting(FiniteNumbers):
    """Votes weighted by confidence, and the end of answers in which it falls."""

    warmup: StrictInt = Field(
        default=16, ge=1, description="Answers that are asked first, in the order of the team, and never stopped."
    )
    keep: StrictFloat = Field(
        default=0.1, gt=0, lt=1, description="Share of the first answers whose lowest group would not be stopped."
    )
    window_tokens: StrictInt = Field(default=2048, ge=1, description="Tokens of a group, whose mean is compared.")
    alternatives: StrictInt = Field(default=20, ge=2, le=20, description="Log probabilities per token.")
    consensus: StrictFloat = Field(
        default=0.95, gt=0.5, le=1, description="Share of the weight of all votes at which the vote ends."
    )

    @property
    def value(self) -> Confidence:
        """The setting as a layer takes it."""
        return Confidence(self.alternatives, self.window_tokens, self.warmup, self.keep)


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

    confidence: ConfidenceSetting | None = Field(
        default=None,
        description="Weight of each vote by the confidence of its answer, and the end of answers in which it falls:"
        " {warmup, keep, window_tokens, alternatives, consensus}. By default all votes are equal.",
    )

    @model_validator(mode="after")
    def _confidence_ends_the_vote(self) -> Self:
        if self.confidence is not None and self.stop != "certain":
            raise ValueError("stop has no effect with confidence, whose 'consensus' ends the vote; remove it")
        return self

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

    def requires(self) -> Mapping[str, frozenset[str]]:
        return {} if self.confidence is None else {agent.model: frozenset({"logprobs"}) for agent in self.proposers}

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        voting = self.stop != "never" and not run.drafting  # calls are voted on by the layer itself
        confidence = None if self.confidence is None or run.drafting else self.confidence.value
        found = await run.propose(
            self._voters(),
            Task(as_answer=True, confidence=confidence),
            steps=0,
            decision=self._decided if voting else None,
            wave=self.wave if voting else None,
        )
        references = run.candidates(found)
        if run.agreed is None and confidence is not None:
            return run.pick(confident_majority(references, self.answer_kind)[0])
        return run.pick(run.agreed or majority(references, self.answer_kind))

    def _decided(self, arrived: Arrived) -> bool:
        if self.confidence is not None:
            warm = len(self._voters()) - arrived.missing >= self.confidence.warmup
            share = confident_majority(arrived.references, self.answer_kind)[1]
            return warm and share >= self.confidence.consensus
        upset = upset_probability(arrived, self.answer_kind)
        return upset <= (self.stop_error if self.stop == "likely" else 0)

    def _voters(self) -> tuple[Agent, ...]:
        count = self.samples or len(self.proposers)
        return tuple(self.proposers[turn % len(self.proposers)] for turn in range(count))

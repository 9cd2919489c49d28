"""Self-MoA and Self-MoA-Seq (arXiv 2502.00674): one strong model sampled many times, then aggregated.

The paper finds that quality weighs more than diversity: samples of the best model often beat a mixed team.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, StrictInt, model_validator

from serving.errors import MoaError
from serving.recipes.base import Answering, Recipe
from serving.recipes.cost import Cost
from serving.references import Reference, References
from serving.runtime.agents import Agent, AgentField
from serving.runtime.emptiness import is_proposal
from serving.runtime.reasons import SAMPLES_LEFT_OUT
from serving.runtime.run import Run, Strategy
from serving.runtime.task import Task
from serving.types import Delta, Sampling


class SelfMoa(Answering):
    """`samples` answers of one model, made by one call, synthesized by the aggregator."""

    strategy: Literal["self_moa"] = "self_moa"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request - {"refill"} | {"models", "samples"}
    cast = ("proposer",)
    tool_modes = ("final", "vote")
    caller = "the aggregator; with `vote` the proposer"
    without_effect = frozenset({"refill"})  # there is one proposing model
    final = "aggregator"
    proposer: AgentField
    aggregator: AgentField
    samples: StrictInt = Field(default=6, ge=1, le=64, description="Number of answers of the proposer.")

    def agents(self) -> Iterable[Agent]:
        return (self.proposer, self.aggregator, *(self.fallbacks or ()))

    def proposer_layers(self) -> tuple[tuple[Agent, ...], ...]:
        return ((self.proposer,) * self.samples,)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        proposals = self.proposals_cost([self.proposer], sampling) * self.samples
        return proposals + self.answer_cost(self.aggregator, sampling)

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        return await self.aggregated(run, self._references, self.aggregator, [self.proposer])

    async def _references(self, run: Run) -> References:
        return await run.propose([self.proposer] * self.samples, feeding=[self.aggregator])


class SelfMoaSeq(SelfMoa):
    """A window slides over the samples, so that any number of them fits any context.

    The first window holds `window` samples. Each later one holds the synthesis so far, in `kept` of its slots, and
    `window - kept` new samples. The last window's synthesis is the answer.
    """

    strategy: Literal["self_moa_seq"] = "self_moa_seq"  # type: ignore[assignment]  # a narrower literal
    samples: StrictInt = Field(default=12, ge=1, le=256, description="Number of answers of the proposer.")
    window: StrictInt = Field(default=6, ge=2, le=64, description="References per synthesis.")
    kept: StrictInt = Field(default=3, ge=1, description="Slots of a window that hold the synthesis so far.")

    @model_validator(mode="after")
    def _window_moves(self) -> Self:
        if self.kept >= self.window:
            raise ValueError(f"kept is {self.kept}, which leaves no slot for samples in a window of {self.window}")
        return self

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return super().cost(sampling, recipes) + self.proposals_cost([self.aggregator], sampling) * self._windows

    @property
    def _windows(self) -> int:
        """Number of windows before the last one."""
        return -(-max(self.samples - self.window, 0) // (self.window - self.kept))

    def steps(self, recipe_of: Callable[[str], Strategy | None]) -> int:
        return 1 + self._windows

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.proposals_cost([self.aggregator], sampling)  # one more step of the window, at most

    async def _references(self, run: Run) -> References:
        final = self.samples <= self.window
        # A synthesis has no tools, unlike the readers that `propose` prefills where proposers draft calls.
        feeding = [self.aggregator] if final or not run.drafting else []
        steps = self.steps(run.recipe)
        samples = await run.propose([self.proposer] * self.samples, feeding=feeding, feeding_final=final, steps=steps)
        if run.concluded:
            return samples
        window, rest = samples[: self.window], samples[self.window :]
        while rest:
            if run.late:
                run.degrade(SAMPLES_LEFT_OUT())
                break
            steps = -(-len(rest) // (self.window - self.kept))
            fresh, rest = rest[: self.window - self.kept], rest[self.window - self.kept :]
            window = await self._synthesis(run, window, steps) + fresh
        return window

    async def _synthesis(self, run: Run, window: References, steps: int) -> References:
        """Content of the kept slots: the synthesis of `window`, or its first samples if there is none."""
        try:
            done = await run.ask(self.aggregator, Task(window, role="aggregator"), steps=steps)
        except MoaError:
            return window[: self.kept]  # in the report; the last synthesis may still succeed
        if not is_proposal(done.choices[0], run.request):  # would waste the slots kept for it
            return window[: self.kept]
        return (Reference(self.aggregator.model, done.text, usage=done.usage),) * self.kept

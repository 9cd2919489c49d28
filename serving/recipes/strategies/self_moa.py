"""Self-MoA and Self-MoA-Seq (arXiv 2502.00674): one strong model sampled many times, then aggregated.

The paper finds that quality weighs more than diversity: samples of the best model often beat a mixed team.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from serving.errors import MoaError
from serving.recipes.base import Answering, Recipe
from serving.recipes.cost import Cost
from serving.runtime.agents import Agent, AgentField
from serving.runtime.prompts import Reference, References
from serving.types import Delta, Sampling

if TYPE_CHECKING:
    from serving.runtime.run import Run


class SelfMoa(Answering):
    """`samples` answers of one model, made by one call, joined by the aggregator."""

    strategy: Literal["self_moa"] = "self_moa"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request | {"models", "samples"}
    cast = ("proposer",)
    proposer: AgentField
    aggregator: AgentField
    samples: int = Field(default=6, ge=1, le=64)

    def agents(self) -> Iterable[Agent]:
        return (self.proposer, self.aggregator, *(self.fallbacks or ()))

    def team_size(self) -> int:
        return self.samples

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        proposals = self.proposals_cost([self.proposer], sampling) * self.samples
        return proposals + self.answer_cost(self.aggregator, sampling)

    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        references = await run.propose([self.proposer] * self.samples, feeding=[self.aggregator])
        async with aclosing(self._joined(run, references)) as answer:
            async for delta in answer:
                yield delta

    def _joined(self, run: "Run", references: References) -> AsyncGenerator[Delta, None]:
        fallbacks = self.replacements(self.aggregator, [self.proposer])
        return run.answer(self.aggregator, references, fallbacks=fallbacks)


class SelfMoaSeq(SelfMoa):
    """A window slides over the samples, so that any number of them fits any context.

    The first window holds `window` samples; each later one the synthesis so far, in `kept` of its slots, and
    `window - kept` new samples. The last window's synthesis is the answer.
    """

    strategy: Literal["self_moa_seq"] = "self_moa_seq"  # type: ignore[assignment]
    samples: int = Field(default=12, ge=1, le=256)
    window: int = Field(default=6, ge=2, le=64)
    kept: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _window_moves(self) -> Self:
        if self.kept >= self.window:
            raise ValueError(f"kept is {self.kept}, which leaves no slot for samples in a window of {self.window}")
        return self

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        steps = -(-max(self.samples - self.window, 0) // (self.window - self.kept))
        return super().cost(sampling, recipes) + self.proposals_cost([self.aggregator], sampling) * steps

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.proposals_cost([self.aggregator], sampling)  # one more step of the window, at most

    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        samples = await run.propose([self.proposer] * self.samples, feeding=[self.aggregator])
        window, rest = samples[: self.window], samples[self.window :]
        while rest:
            fresh, rest = rest[: self.window - self.kept], rest[self.window - self.kept :]
            window = await self._synthesis(run, window) + fresh
        async with aclosing(self._joined(run, window)) as answer:
            async for delta in answer:
                yield delta

    async def _synthesis(self, run: "Run", window: References) -> References:
        """What fills the kept slots: the synthesis of `window`, or its first samples where there is none."""
        try:
            done = await run.ask(self.aggregator, run.request.messages, role="aggregator", references=window)
        except MoaError:
            return window[: self.kept]  # told in the ledger; the last synthesis may still succeed
        if not done.text.strip():  # would waste the slots kept for it
            return window[: self.kept]
        return (Reference(self.aggregator.model, done.text),) * self.kept

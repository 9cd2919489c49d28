"""Self-consistency (arXiv 2203.11171): many answers, and the one most of them come to."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from serving.recipes.base import Recipe
from serving.recipes.cost import Cost
from serving.recipes.extraction import AnswerKind, extracted
from serving.runtime.agents import Agent, Team
from serving.runtime.prompts import Reference, References
from serving.types import Delta, Sampling

if TYPE_CHECKING:
    from serving.runtime.run import Run


class Vote(Recipe):
    """The first proposal with the most frequent answer, as it was written; no aggregator."""

    strategy: Literal["vote"] = "vote"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request | {"models", "samples", "answer_kind"}
    team = "proposers"
    proposers: Team
    samples: int | None = Field(
        default=None, ge=1, le=64, description="Answers in all, the team taking turns; by default one of each agent."
    )
    answer_kind: AnswerKind = "text"

    def agents(self) -> Iterable[Agent]:
        return self.proposers

    def team_size(self) -> int:
        return self.samples or len(self.proposers)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.proposals_cost(self._voters(), sampling)

    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        best = majority(await run.propose(self._voters(), answering=True), self.answer_kind)
        async with aclosing(run.say(best.text, best.finish_reason)) as stream:
            async for delta in stream:
                yield delta

    def _voters(self) -> list[Agent]:
        return [self.proposers[turn % len(self.proposers)] for turn in range(self.team_size())]


def votes(references: References, kind: AnswerKind) -> Counter[str]:
    """How many proposals come to each answer; proposals without one do not vote."""
    return Counter(answer for reference in references if (answer := extracted(reference.text, kind)) is not None)


def majority(references: References, kind: AnswerKind) -> Reference:
    """The first of the proposals with the most frequent answer; the first of all where none has an answer."""
    count = votes(references, kind)
    if not count:
        return references[0]
    most = max(count.values())
    return next(r for r in references if count.get(extracted(r.text, kind) or "", 0) == most)

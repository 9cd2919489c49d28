"""As many proposers as the question needs: a few first, more only while they disagree."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from math import ceil
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, StrictFloat, StrictInt, model_validator

from serving.errors import InvalidRequest, QuorumNotReached
from serving.recipes.base import Answering, Recipe
from serving.recipes.cost import Cost
from serving.recipes.extraction import AnswerKind
from serving.recipes.voting import STOP, STOP_ERROR, Stop, majority, probability_below, vote_of, votes
from serving.references import References
from serving.runtime.agents import Agent, AgentField, Team
from serving.runtime.reasons import AGREED, PROPOSERS_LEFT_OUT
from serving.runtime.run import Run, Strategy
from serving.runtime.task import Arrived, Quorum, Task
from serving.types import Delta, Sampling


class Adaptive(Answering):
    """Starts with `start` proposers and adds `step` while less than `agreement` of them give one answer.

    Agreement skips the aggregator only if it is verified: at least two answers and `min_proposals`, all of them short
    (`short_characters`), so that equal means the same. Longer answers always go to the aggregator, and so does every
    text of a request with tools or within a loop of tool calls. With `tools: vote` equal tool calls agree in the same
    way, and only proposers that support tools count.
    """

    strategy: Literal["adaptive"] = "adaptive"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request | {
        "models",
        "threshold",
        "agreement",
        "answer_kind",
        "stop",
        "stop_error",
    }
    team = "proposers"
    tool_modes = ("final", "vote")
    caller = "the aggregator; with `vote` proposers that agree (`agreement`)"
    final = "aggregator"
    proposers: Team
    aggregator: AgentField
    start: StrictInt = Field(default=2, ge=1, description="Proposers asked first.")
    step: StrictInt = Field(default=1, ge=1, description="Proposers added while they disagree.")
    agreement: StrictFloat = Field(default=1.0, gt=0.5, le=1, description="Share of proposals with one answer.")
    answer_kind: AnswerKind = "text"
    short_characters: StrictInt = Field(default=64, ge=1, description="Longest answer that can agree with another.")
    stop: Stop = Field(default="never", description=STOP)
    stop_error: StrictFloat = Field(default=0.05, gt=0, lt=0.5, description=STOP_ERROR)

    @model_validator(mode="after")
    def _can_agree(self) -> Self:
        if len(self.proposers) < 2 or self.start > len(self.proposers):
            raise ValueError("adaptive needs two proposers or more, and no more to start with than there are")
        return self

    def agents(self) -> Iterable[Agent]:
        return (*self.proposers, self.aggregator, *(self.fallbacks or ()))

    def answering(self) -> tuple[Agent, ...]:
        return (*self.proposers, self.aggregator)

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return self.proposals_cost(self.proposers, sampling) + self.answer_cost(self.aggregator, sampling)

    def steps(self, recipe_of: Callable[[str], Strategy | None]) -> int:
        return 1 + -(-max(len(self.proposers) - self.start, 0) // self.step)

    def translated(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """`threshold`, the setting of `cascade`, is accepted for `agreement`."""
        fields = dict(super().translated(changes))
        if "threshold" in fields:
            if "agreement" in fields:
                raise InvalidRequest("Remove 'moa.threshold' or 'moa.agreement': they mean the same.", "moa.threshold")
            fields["agreement"] = fields.pop("threshold")
        return fields

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        references = await run.advice(self._references)
        if self._agreed(references):
            best = majority(_voters(references), self.answer_kind)
            if best.tool_calls:
                run.note(self._outcome(references))
            if best.tool_calls or not run.acts:
                return run.pick(best)
        fallbacks = self.replacements(self.aggregator, self.proposers)
        return run.answer(self.aggregator, Task(references), fallbacks=fallbacks)

    async def _references(self, run: Run) -> References:
        references: References = ()
        asked = 0
        while asked < len(self.proposers):
            if references and run.late and len(references) >= self.min_proposals:
                run.degrade(PROPOSERS_LEFT_OUT())
                break
            more = self.start if asked == 0 else self.step
            batch, asked = self.proposers[asked : asked + more], asked + more
            left = max(len(self.proposers) - asked, 0)
            steps = 1 + -(-left // self.step)  # a batch each
            references += await self._more(run, batch, references, left, steps)
            if run.concluded or self._agreed(references):
                break
        if any(one.tool_calls for one in references):
            run.voted(self._agreed(references) and bool(majority(_voters(references), self.answer_kind).tool_calls))
        return references

    async def _more(self, run: Run, batch: tuple[Agent, ...], known: References, left: int, steps: int) -> References:
        """Proposals of `batch`, after which `steps - 1` follow, of `left` proposers; then too few are an error.

        `known`: those of the batches before.
        """

        def decided(arrived: Arrived) -> bool:
            return self._stays_agreed(known + arrived.references, arrived.missing)

        had = len(known)
        missing, last = self.min_proposals - had, steps == 1
        # Agreement over all batches is decided here, not by a layer's vote.
        quorum = Quorum(max(missing, 1), strict=last and missing > 0, patient=left < missing, vote=False)
        try:
            return await run.propose(
                batch,
                Task(as_answer=True),
                quorum=quorum,
                team=self.proposers,
                steps=steps,
                decision=None if self.stop == "never" or run.drafting else decided,
            )
        except QuorumNotReached as error:
            raise QuorumNotReached(error.layer, had + error.usable, self.min_proposals, error.reasons) from None

    def _agreed(self, references: References) -> bool:
        voters = _voters(references)
        if len(voters) < max(self.min_proposals, 2):
            return False
        if any(not one.tool_calls and len(one.text.strip()) > self.short_characters for one in voters):
            return False
        if any(vote_of(one, self.answer_kind) is None for one in voters):
            return False
        return max(votes(voters, self.answer_kind).values()) >= self.agreement * len(voters)

    def _stays_agreed(self, references: References, missing: int) -> bool:
        """True if `references` agree and `missing` other short answers cannot, or will hardly, change that."""
        if not self._agreed(references):
            return False
        lead = max(votes(references, self.answer_kind).values())
        needed = ceil(self.agreement * (len(references) + missing) - 1e-9) - lead
        undone = probability_below(needed, lead, len(references) - lead, missing)
        return undone <= (self.stop_error if self.stop == "likely" else 0)

    def _outcome(self, references: References) -> str:
        voters = _voters(references)
        equal = max(votes(voters, self.answer_kind).values())
        return AGREED(equal=equal, voters=len(voters), place="")


def _voters(references: References) -> References:
    """Proposals of agents that had the request's tools; all if none had."""
    return tuple(one for one in references if one.draft is not None) or references

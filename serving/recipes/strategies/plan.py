"""Divide and join: a planner splits the task, executors answer the parts, a synthesizer joins them.

The information-exchange paradigm of Optima (arXiv 2410.08115), with the exchange made explicit: a part may name the
parts it builds on and then sees their results; parts that name none run at once.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from serving.errors import InvalidRequest, MoaError, Overloaded, QuorumNotReached
from serving.recipes.base import Answering, Recipe
from serving.recipes.cost import Cost, costliest
from serving.recipes.judging import question
from serving.runtime.agents import Agent, AgentField, Team
from serving.runtime.prompts import References
from serving.types import Delta, Message, Sampling

if TYPE_CHECKING:
    from serving.runtime.run import Run

SPLIT = (
    "Split the task of the conversation's last message into at most {parts} smaller tasks. Reply with a JSON list and"
    ' nothing else; each item is {{"task": "...", "after": [numbers of earlier items that it builds on]}}, counted'
    " from 1."
)


@dataclass(frozen=True, slots=True)
class Part:
    task: str
    after: tuple[int, ...]  # 0-based, each before this part


class Plan(Answering):
    """A plan that cannot be read is one part: the whole task, for every executor.

    A part that its executor cannot do is given to the next one; one that nobody can do is left out, as long as
    `min_proposals` parts are done, or all where the plan has fewer.
    """

    strategy: Literal["plan"] = "plan"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request | {"models", "parts"}
    team = "executors"
    planner: AgentField
    executors: Team
    synthesizer: AgentField
    parts: int = Field(default=4, ge=1, le=16)

    def agents(self) -> Iterable[Agent]:
        return (self.planner, *self.executors, self.synthesizer, *(self.fallbacks or ()))

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        split = self.proposals_cost([self._executors(position)[0] for position in range(self.parts)], sampling)
        executing = costliest([split, self.proposals_cost(self.executors, sampling)])
        return self.proposals_cost([self.planner], sampling) + executing + self.answer_cost(self.synthesizer, sampling)

    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        instruction = SPLIT.format(parts=self.parts)
        [plan] = await run.consult(self.planner, [question(run.request.messages, instruction)], role="planner")
        parts = parse_plan(plan)
        results = await self._execute(run, parts[: self.parts]) if parts else await run.propose(self.executors)
        fallbacks = self.replacements(self.synthesizer, self.executors)
        answer = run.answer(self.synthesizer, results, fallbacks=fallbacks, role="synthesizer")
        async with aclosing(answer) as stream:
            async for delta in stream:
                yield delta

    async def _execute(self, run: "Run", parts: tuple[Part, ...]) -> References:
        tasks: list[asyncio.Task[References]] = []
        failures: list[InvalidRequest | Overloaded | QuorumNotReached] = []

        async def execute(position: int, part: Part) -> References:
            """The part's result, one reference; none where nobody could do it."""
            before = [reference for earlier in part.after for reference in await asyncio.shield(tasks[earlier])]
            known = "".join(f"\n\nAlready done: {reference.text.strip()}" for reference in before)
            text = f"Of the task above, do only this part: {part.task}{known}"
            messages = (*run.request.messages, Message("user", text))
            for agent in self._executors(position):
                try:
                    done = await run.propose([agent], messages=messages, role="executor", needed=1)
                except (InvalidRequest, Overloaded, QuorumNotReached) as error:
                    failures.append(error)
                else:
                    return tuple(replace(reference, text=f"{part.task}: {reference.text}") for reference in done)
            run.ledger.degrade(f"no executor could do part {position + 1} of the plan")
            return ()

        try:
            for position, part in enumerate(parts):
                tasks.append(asyncio.create_task(execute(position, part)))
            results = tuple(reference for found in await asyncio.gather(*tasks) for reference in found)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        needed = min(self.min_proposals, len(parts))
        if len(results) < needed:
            raise _why_too_few(failures, len(results), needed)
        return results

    def _executors(self, position: int) -> tuple[Agent, ...]:
        """Who does the part at `position`, and who tries it then: the first agent of each model, in turn."""
        turn = position % len(self.executors)
        first: dict[str, Agent] = {}
        for agent in self.executors[turn:] + self.executors[:turn]:
            first.setdefault(agent.model, agent)
        return tuple(first.values())


def _why_too_few(
    failures: Sequence[InvalidRequest | Overloaded | QuorumNotReached], done: int, needed: int
) -> MoaError:
    """The caller's own error where it is one of `failures`, as for a layer of proposers."""
    for kind in (InvalidRequest, Overloaded):
        if found := next((error for error in failures if isinstance(error, kind)), None):
            return found
    reasons = dict.fromkeys(reason for error in failures for reason in error.args[3])
    return QuorumNotReached(failures[0].args[0], done, needed, tuple(reasons))


def parse_plan(text: str) -> tuple[Part, ...]:
    """The parts of a plan; `()` where the text holds none. What points forward or at itself is dropped."""
    start, end = text.find("["), text.rfind("]")
    try:
        items: Any = json.loads(text[start : end + 1]) if 0 <= start < end else []
    except (ValueError, RecursionError):  # no JSON, a number of too many digits, brackets too deep
        return ()
    parts: list[Part] = []
    for item in items:
        if isinstance(item, str):
            item = {"task": item}
        if not (isinstance(item, dict) and isinstance(item.get("task"), str) and item["task"].strip()):
            continue
        after = item.get("after")
        numbers = after if isinstance(after, list) else []
        known = {n - 1 for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= len(parts)}
        parts.append(Part(item["task"].strip(), tuple(sorted(known))))
    return tuple(parts)

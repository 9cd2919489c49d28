"""Divide and join: a planner splits the task, executors answer the parts, a synthesizer joins the results.

The information-exchange paradigm of Optima (arXiv 2410.08115), with the exchange made explicit: a part may name earlier
parts that it builds on and then reads their results; parts that name none run at once.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field, StrictInt

from serving.conversation import Message
from serving.errors import InvalidRequest, MoaError, Overloaded, QuorumNotReached
from serving.recipes.base import Answering, Recipe
from serving.recipes.cost import Cost, costliest
from serving.recipes.judging import question
from serving.references import References
from serving.runtime.agents import Agent, AgentField, Team
from serving.runtime.reasons import PART_FAILED, PART_LATE
from serving.runtime.run import Run, Strategy
from serving.runtime.task import Quorum, Task
from serving.types import Delta, Sampling

SPLIT = (
    "Split the task of the conversation's last message into at most {parts} smaller tasks. Reply with a JSON list and"
    ' nothing else; each item is {{"task": "...", "after": [numbers of earlier items that it builds on]}}, counted'
    " from 1."
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a plan."""

    task: str
    after: tuple[int, ...]  # 0-based, each before this part


class Plan(Answering):
    """The parts of a plan, executed and synthesized.

    An unreadable plan is one part: the whole task, for every executor. A part that fails on its executor is given to
    the next one, whatever `refill` says. A part that fails on all is left out, as long as `min_proposals` parts are
    done, or all parts of a shorter plan.
    """

    strategy: Literal["plan"] = "plan"
    per_request: ClassVar[frozenset[str]] = Recipe.per_request - {"tools"} | {"models", "parts"}
    team = "executors"
    tool_modes = ("final",)
    caller = "the synthesizer: executors do different parts, so that there is nothing to vote on"
    final = "synthesizer"
    planner: AgentField
    executors: Team
    synthesizer: AgentField
    parts: StrictInt = Field(default=4, ge=1, le=16, description="Maximum number of parts.")

    def agents(self) -> Iterable[Agent]:
        return (self.planner, *self.executors, self.synthesizer, *(self.fallbacks or ()))

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        split = self.proposals_cost([self._executors(position)[0] for position in range(self.parts)], sampling)
        executing = costliest([split, self.proposals_cost(self.executors, sampling)])
        return self.proposals_cost([self.planner], sampling) + executing + self.answer_cost(self.synthesizer, sampling)

    def steps(self, recipe_of: Callable[[str], Strategy | None]) -> int:
        return 2

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        return await self.aggregated(run, self._results, self.synthesizer, self.executors, role="synthesizer")

    async def _results(self, run: Run) -> References:
        instruction = SPLIT.format(parts=self.parts)
        asked, steps = [question(run.request.messages, instruction)], self.steps(run.recipe)
        [plan] = await run.consult(self.planner, asked, role="planner", steps=steps)
        parts = parse_plan(plan)
        return await self._execute(run, parts[: self.parts]) if parts else await run.propose(self.executors)

    async def _execute(self, run: Run, parts: tuple[Part, ...]) -> References:
        tasks: list[asyncio.Task[References]] = []
        failures: list[InvalidRequest | Overloaded | QuorumNotReached] = []

        async def execute(position: int, part: Part) -> References:
            """Result of the part as one reference; none if it failed on every executor."""
            before = [reference for earlier in part.after for reference in await asyncio.shield(tasks[earlier])]
            known = "".join(f"\n\nAlready done: {reference.text.strip()}" for reference in before)
            text = f"Of the task above, do only this part: {part.task}{known}"
            task = Task(messages=(*run.request.messages, Message("user", text)), role="executor")
            for agent in self._executors(position):
                try:
                    done = await run.propose([agent], task, quorum=Quorum(1))
                except (InvalidRequest, Overloaded, QuorumNotReached) as error:
                    failures.append(error)
                    if run.late:
                        break
                else:
                    return tuple(replace(reference, text=f"{part.task}: {reference.text}") for reference in done)
            run.degrade(PART_FAILED(number=position + 1))
            return ()

        needed = min(self.min_proposals, len(parts))
        try:
            for position, part in enumerate(parts):
                tasks.append(asyncio.create_task(execute(position, part)))
            await _enough(run, tasks, needed)
            for number, task in enumerate(tasks, 1):
                if not task.done():
                    run.degrade(PART_LATE(number=number))
            results = tuple(reference for task in tasks if task.done() for reference in task.result())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if len(results) < needed:
            run.below_quorum(_too_few(failures, len(results), needed))
        return results

    def _executors(self, position: int) -> tuple[Agent, ...]:
        """Executors of the part at `position`, in order of preference: the first agent of each model, rotated."""
        turn = position % len(self.executors)
        first: dict[str, Agent] = {}
        for agent in self.executors[turn:] + self.executors[:turn]:
            first.setdefault(agent.model, agent)
        return tuple(first.values())


async def _enough(run: Run, parts: Sequence[asyncio.Task[References]], needed: int) -> None:
    """Return when all parts are done, or `needed` of them when the time for the answer has begun.

    Raises what a part raises.
    """
    pending = set(parts)
    while pending:
        done = [part for part in parts if part.done() and part.result()]
        timeout = run.time_left_s if len(done) >= needed else None
        ended, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for part in ended:
            part.result()
        if not ended:
            return


def _too_few(failures: Sequence[InvalidRequest | Overloaded | QuorumNotReached], done: int, needed: int) -> MoaError:
    """The caller's own error if it is one of `failures`, as for a layer of proposers."""
    for kind in (InvalidRequest, Overloaded):
        if found := next((error for error in failures if isinstance(error, kind)), None):
            return found
    missed = [error for error in failures if isinstance(error, QuorumNotReached)]
    reasons = dict.fromkeys(reason for error in missed for reason in error.reasons)
    return QuorumNotReached(missed[0].layer, done, needed, tuple(reasons))


def parse_plan(text: str) -> tuple[Part, ...]:
    """Parts of a plan; `()` if the text holds none. References to the same or a later part are dropped."""
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

"""A run: one request's way through a recipe. A recipe says who answers whom, a run knows how.

Recipes call the methods of `Run`. One fan-out is in `serving.runtime.layer`, single calls in
`serving.runtime.context` and `serving.runtime.call`.
"""

import asyncio
import math
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from pydantic import Field

from serving.errors import ContextTooLong, DeadlineExceeded, InvalidRequest, MoaError
from serving.runtime.advice import advice_key
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.layer import Layer
from serving.runtime.policy import Policy
from serving.runtime.prompts import in_tool_loop
from serving.runtime.task import Quorum, Task
from serving.types import Completion, Delta, FinishReason, GenerateRequest, Message, References, Thinking


class Strategy(Policy):
    """A policy that can answer a run: the part of a recipe that `Run.delegate` needs."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")

    @abstractmethod
    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        """Answer the run's request: return the stream of `run.answer`, `run.say` or `run.delegate`."""


class Run:
    """The tools of a recipe, for one request."""

    def __init__(self, context: RunContext, recipes: Mapping[str, Strategy], given: References = ()) -> None:
        """Make the tools.

        Args:
            context: makes the calls.
            recipes: by id, for `delegate`.
            given: answers to the request from before this recipe. They come before the proposals of the first
                `propose` that asks the request itself; until then every agent that writes an answer (`answer`, or
                `ask` with `as_answer`) reads them.
        """
        self._context, self._recipes, self._given = context, recipes, given

    @property
    def request(self) -> GenerateRequest:
        """The request to answer."""
        return self._context.request

    def degrade(self, reason: str) -> None:
        """Mark the answer as possibly worse than the recipe promises; the caller sees `reason`."""
        self._context.report.degrade(reason)

    @property
    def acts(self) -> bool:
        """True if the final agent itself must answer: the request has tools, or continues a loop of tool calls.

        A proposal knows neither the tools nor, if it is reused, the results of the calls.
        """
        return self.request.may_call_tools or in_tool_loop(self.request.messages)

    async def advice(self, make: Callable[["Run"], Awaitable[References]]) -> References:
        """References for the final agent: those of `make(self)`, or those made for the same user turn before.

        With `advise: user_turn` a request with tools keeps its references for the rest of the user turn, and a request
        that continues a loop of tool calls reuses them, so that the team is asked once. The report says so. If they are
        not known here (expired, or made by another replica) the team is asked again.
        """
        context = self._context
        if context.policy.advise != "user_turn" or not self.acts or self._given:
            return await make(self)
        key, cache = advice_key(context.policy, self.request.messages), context.runtime.advice
        if in_tool_loop(self.request.messages) and (known := cache.get(key)):
            context.report.note("references of this user turn were reused")
            return known
        references = await make(self)
        if not context.report.degraded:  # the team may be whole again at the next call
            cache.put(key, references)
        return references

    async def propose(
        self,
        agents: Sequence[Agent],
        task: Task = Task(),  # noqa: B008 - frozen
        *,
        quorum: Quorum | None = None,
        feeding: Sequence[Agent] = (),
        feeding_final: bool = True,
    ) -> References:
        """Ask all `agents` at once; their usable answers, as references for the next layer.

        The layer is done when all have ended, or when the quorum is reached and the straggler grace has passed;
        agents that are still running then are cancelled.

        Args:
            agents: the proposers, by slot.
            task: the question; its references are shown to every agent.
            quorum: by default the policy's `min_proposals`, strictly.
            feeding: agents that will read the result: their prompts are prefilled while the proposers run.
            feeding_final: these agents write the final answer (`answer`), so that their prompts have the tools.

        Raises:
            QuorumNotReached: fewer usable answers than the quorum.
            InvalidRequest, Overloaded: the same, for one of these reasons.
            DeadlineExceeded: the deadline of the whole request passed.
        """
        given = self._given if task.messages is None else ()
        enough = quorum or Quorum(min(self._context.policy.min_proposals, len(agents)))
        layer = Layer(self._context, agents, task, enough, readers=feeding, before=given, final=feeding_final)
        found = await layer.references()
        if task.messages is None:
            self._given = ()  # they are part of the result
        return given + (tuple(replace(one, as_answer=True) for one in found) if task.as_answer else found)

    async def ask(self, agent: Agent, task: Task, *, sampling: Mapping[str, Any] | None = None) -> Completion:
        """Whole answer of one agent; with `task.as_answer` sampled like the final agent's. Raises `MoaError`."""
        context = self._context
        if not task.as_answer:
            chosen = context.proposer_sampling(agent, sampling)
            return await self._asked(context.call(agent, task, layer=context.next_layer(), sampling=chosen), agent)
        task = replace(task, references=self._given + task.references)
        chosen = context.answer_sampling(agent, sampling)
        call = context.call(agent, task, layer=context.next_layer(), sampling=chosen)
        call.request = replace(call.request, thinking=context.answer_thinking(agent))
        return await self._asked(call, agent)

    async def consult(
        self,
        agent: Agent,
        questions: Sequence[Sequence[Message]],
        *,
        role: str = "judge",
        sampling: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Opinions of one agent, all asked at once; "" where it could not give one, which degrades the answer."""
        layer = self._context.next_layer()
        chosen = self._context.proposer_sampling(agent, sampling)

        async def opinion(position: int, asked: Sequence[Message]) -> str:
            task = Task(messages=tuple(asked), role=role)
            call = self._context.call(agent, task, layer=layer, slots=(position,), sampling=chosen)
            try:
                return (await self._asked(call, agent)).text
            except MoaError:
                return ""  # in the report

        # A group, so that none continues after a defect in another or after cancellation.
        async with asyncio.TaskGroup() as group:
            opinions = [group.create_task(opinion(*place)) for place in enumerate(questions)]
        return [task.result() for task in opinions]

    async def answer(
        self,
        agent: Agent,
        task: Task = Task(),  # noqa: B008 - frozen
        *,
        fallbacks: Sequence[Agent] = (),
        spare: References = (),
    ) -> AsyncGenerator[Delta, None]:
        """Stream of the final answer.

        If `agent` fails before its first delta, `fallbacks` are tried in turn; those without tools are left out if the
        request has tools. If none can answer, the first of the references, or else of `spare`, is returned that
        satisfies the caller's `response_format` and `stop`; none is if a tool must be called. Every such step degrades
        the answer, and the report says so. Reasoning is visible: an agent that fails after it is not replaced, since
        the caller has read what it thought.

        Raises:
            InvalidRequest: the request itself is at fault.
            MoaError: no agent could answer, or the answering agent failed after its first delta.
        """
        context = self._context
        task = replace(task, references=self._given + task.references)
        layer = context.next_layer()
        failures: list[MoaError] = []
        if self.request.may_call_tools:
            fallbacks = [other for other in fallbacks if context.runtime.engines[other.model].info.tools]
        for position, candidate in enumerate((agent, *fallbacks)):
            call = context.call(
                candidate,
                task,
                layer=layer,
                slots=(position,),
                sampling=context.answer_sampling(candidate),
                role="aggregator",
                final=True,
            )
            if position and not call.engine.info.thinking:  # it would refuse what the first agent accepts
                call.request = replace(call.request, thinking=Thinking())
            visible = False
            try:
                async with aclosing(
                    call.stream(
                        deadline_s=min(candidate.deadline_s or math.inf, context.remaining_s()),
                        first_token_deadline_s=candidate.first_token_deadline_s
                        or context.policy.first_token_deadline_s,
                    )
                ) as stream:
                    async for delta in stream:
                        visible = True
                        if delta.terminal:
                            context.record(call)  # before the terminal delta, which carries the report
                        yield delta
                return
            except MoaError as error:
                if visible or (isinstance(error, InvalidRequest) and not isinstance(error, ContextTooLong)):
                    raise
                failures.append(error)
                if context.remaining_s() <= 0:
                    raise DeadlineExceeded(f"'{context.report.recipe}'", context.deadline_s) from None
            finally:
                if call.status != "ok":
                    context.record(call)
        known = self._first_valid(task.references + spare)
        if known is None or all(isinstance(error, ContextTooLong) for error in failures):
            raise failures[0]
        self.degrade(
            "aggregation failed on every model; returned the first proposal"
            if task.references
            else "the final answer failed on every model; returned an earlier answer"
        )
        yield known

    async def say(self, text: str, finish_reason: FinishReason = "stop") -> AsyncGenerator[Delta, None]:
        """Stream of an answer that is known already: a proposal that was picked, not written again."""
        yield self._known(text, finish_reason)

    async def delegate(self, name: str, references: References = ()) -> AsyncGenerator[Delta, None]:
        """Stream of the final answer of another model or recipe, within this run; it also reads `references`.

        A model answers with the request's own sampling, as it would without this recipe. The delegate may shorten the
        time that is left of the whole request's deadline, not lengthen it.
        """
        given = self._given + references
        recipe = self._recipes.get(name)
        if recipe is None:
            unchanged = self._context.policy.model_copy(update={"temperature": None})
            return Run(replace(self._context, policy=unchanged), self._recipes, given).answer(Agent(model=name))
        return await recipe.run(Run(replace(self._context, policy=recipe), self._recipes, given))

    def _known(self, text: str, finish_reason: FinishReason = "stop") -> Delta:
        return Delta(text, finish_reason=finish_reason, usage=self._context.report.usage)

    def _first_valid(self, references: References) -> Delta | None:
        """The first of `references` that can be the answer, cut where the caller's `stop` would have ended it."""
        asked = self.request.sampling
        if self.request.tools and self.request.tool_choice.mode in ("required", "named"):
            return None
        for reference in references:
            if reference.as_answer:
                return self._known(reference.text, reference.finish_reason)
            if asked.response_format is not None:
                continue
            ends = [place for stop in asked.stop if (place := reference.text.find(stop)) >= 0]
            if not ends:
                return self._known(reference.text, reference.finish_reason)
            if text := reference.text[: min(ends)].rstrip():
                return self._known(text)
        return None

    async def _asked(self, call: AgentCall, agent: Agent) -> Completion:
        completion: Completion | None = None
        try:
            completion = await self._context.whole(call, agent)
            return completion
        finally:
            self._context.record(call, completion)

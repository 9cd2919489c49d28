"""A run: one request's way through a recipe. A recipe says who answers whom, a run knows how.

Recipes call the methods of `Run`. One fan-out is in `serving.runtime.layer`, single calls in
`serving.runtime.context` and `serving.runtime.call`.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from inspect import iscoroutine
from typing import Any

from pydantic import Field

from serving.conversation import FinishReason, Message
from serving.engine import CONTINUING
from serving.errors import EngineFailed, MoaError, RecipeFailed
from serving.failures import engine_failures
from serving.references import Reference, References
from serving.runtime.advice import Advice, advice_key, advised_turn, kept
from serving.runtime.agents import Agent
from serving.runtime.answers import may_answer
from serving.runtime.asking import opinions, whole_answer
from serving.runtime.context import RunContext
from serving.runtime.final_answer import final_answer, known_answer
from serving.runtime.growing import GrowingProposals
from serving.runtime.layer import Layer
from serving.runtime.policy import Policy
from serving.runtime.prompts import in_tool_loop
from serving.runtime.proposals import proposal_of
from serving.runtime.reasons import (
    DECIDED,
    LAYER_LATE,
    NOT_ASKED,
    PROPOSERS_LEFT_OUT,
    TOO_FEW_ALONE,
    TOO_FEW_WENT_ON,
)
from serving.runtime.staircase import Chunks, staircase_answer
from serving.runtime.task import Decision, Quorum, Task
from serving.types import Completion, Delta, GenerateRequest


class Strategy(Policy):
    """A policy that can answer a run: the part of a recipe that `Run.delegate` needs."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")

    @abstractmethod
    async def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        """Answer the run's request: return the stream of `run.answer`, `run.say` or `run.delegate`."""


class Run:
    """The tools of a recipe, for one request."""

    def __init__(
        self,
        context: RunContext,
        recipes: Mapping[str, Strategy],
        given: References = (),
        spare: References = (),
    ) -> None:
        """Make the tools.

        Args:
            context: makes the calls.
            recipes: by id, for `delegate`.
            given: answers to the request from before this recipe. They come before the proposals of the first
                `propose` that asks the request itself; until then every agent that writes an answer (`answer`, or
                `ask` with `as_answer`) reads them.
            spare: answers that are returned if no agent can write one.
        """
        self._context, self._recipes, self._given, self._spare = context, recipes, given, spare
        self._agreed: Reference | None = None
        self._shortage: MoaError | None = None  # of a layer that was passed over
        self._alone = False  # the final agent answers without references

    @property
    def request(self) -> GenerateRequest:
        """The request to answer."""
        return self._context.request

    def recipe(self, name: str) -> Strategy | None:
        """The recipe `name`, to which `delegate` would hand over; None: it is a model."""
        return self._recipes.get(name)

    @property
    def late(self) -> bool:
        """True if the time that is kept for the final answer has begun (`answer_share`)."""
        return self._context.remaining_s(self._context.answer_begins) <= 0

    @property
    def time_left_s(self) -> float:
        """Seconds until the time that is kept for the final answer begins; 0 if it has."""
        return self._context.remaining_s(self._context.answer_begins)

    def degrade(self, reason: str) -> None:
        """Mark the answer as possibly worse than the recipe promises; the caller sees `reason`."""
        self._context.report.degrade(reason)

    def note(self, reason: str) -> None:
        """Give the caller a reason that does not degrade the answer."""
        self._context.report.note(reason)

    def voted(self, agreed: bool) -> None:
        """Report to the metrics that drafted tool calls were voted on; `agreed`: they are the answer."""
        self._context.runtime.observer.voted(self._context.report.recipe, agreed)

    @property
    def acts(self) -> bool:
        """True if the final agent itself must answer: the request has tools, or continues a loop of tool calls.

        A proposal of an agent without tools knows neither the tools nor, if it is reused, the results of the calls.
        """
        return self.request.may_call_tools or in_tool_loop(self.request.messages)

    @property
    def drafting(self) -> bool:
        """True if proposers that support tools have the request's tools (`tools: vote`)."""
        return self._context.drafting

    @property
    def agreed(self) -> Reference | None:
        """The draft whose tool calls a majority of a layer's voters drafted; it is the answer."""
        return self._agreed

    @property
    def concluded(self) -> bool:
        """True if no more proposals are needed: voters agreed, or the final agent answers without references."""
        return self._agreed is not None or self._alone

    async def advice(self, make: Callable[["Run"], Awaitable[References]]) -> References:
        """References for the final agent: those of `make(self)`, or those made earlier in the same user turn.

        A request with tools keeps its references, and a request that continues a loop of tool calls reuses them until
        the turn at which the setting `advise` asks the team again. The report says so. If they are not known here
        (expired, or made by another replica) the team is asked again.
        """
        context = self._context
        every = context.policy.advise.every
        if every == 1 or not self.acts or self._given:
            return await make(self)
        turn = advised_turn(self.request.messages, every)
        key, cache = advice_key(context.policy, self.request, turn), context.runtime.advice
        if not turn.now and (known := cache.get(key)):
            context.report.reuse(turn.reuse, known.missing)
            return known.references
        references = await make(self)
        if references and not context.report.may_recover:  # the team may be whole again at the next call
            cache.put(key, Advice(kept(references), tuple(context.report.lasting)), context.request.tenant.scope)
        return references

    async def propose(
        self,
        agents: Sequence[Agent],
        task: Task = Task(),  # noqa: B008 - frozen
        *,
        quorum: Quorum | None = None,
        feeding: Sequence[Agent] = (),
        feeding_final: bool = True,
        team: Sequence[Agent] = (),
        steps: int = 1,
        decision: Decision | None = None,
        wave: int | None = None,
        growing: GrowingProposals | None = None,
    ) -> References:
        """Ask all `agents` at once; their usable answers, as references for the next layer.

        The layer is done when all have ended, or when the quorum is reached and the straggler grace has passed or the
        time of this step is over; agents that are still running then are cancelled. Without the quorum it goes on, up
        to the request's deadline; but only while the final answer still has its time if there are references already,
        and no longer than the step if fewer are no error. With `tools: vote` agents that support tools draft calls, and
        the layer is done when enough of them drafted the same (`agreed`).

        Args:
            agents: the proposers, by slot.
            task: the question; its references are shown to every agent.
            quorum: by default the policy's `min_proposals`, strictly.
            feeding: agents that will read the result: their prompts are prefilled while the proposers run.
            feeding_final: these agents write the final answer (`answer`), so that their prompts have the tools.
            team: agents whose models take slots that failed (`refill`); by default `agents`.
            steps: steps of the recipe before its final answer, from this one on: they divide the time. 0: the answer
                itself is chosen from these proposals.
            decision: called with the answers so far after each one that ended, once the quorum is reached. If it is
                true the layer is done: agents that are still running are cancelled, which does not degrade the answer.
            wave: agents that are asked at once; the next ones are asked when these have ended. By default all at once.
            growing: receives the proposals while they are being written.

        Returns:
            The proposals. If a later layer has too few in time, they come behind those that it was shown.

        Raises:
            QuorumNotReached: fewer usable answers than the quorum, and `below_quorum` is `fail` or the task is not the
                request itself.
            InvalidRequest, Overloaded: the same, for one of these reasons.
            DeadlineExceeded: the deadline of the whole request passed.
        """
        context, own = self._context, task.messages is None
        given = self._given if own else ()
        enough = quorum or Quorum(min(context.policy.min_proposals, len(agents)))
        layer = Layer(
            context,
            agents,
            replace(task, drafts=own and context.drafting),
            enough,
            readers=feeding,
            before=given,
            final=feeding_final,
            team=team,
            steps=steps,
            decision=decision,
            wave=wave,
            growing=growing,
        )
        found = await layer.references()
        if layer.spared:
            self.note(DECIDED(layer=layer.number, ended=len(agents) - layer.spared, agents=len(agents)))
        elif layer.late and layer.asked < len(agents):
            self.degrade(PROPOSERS_LEFT_OUT())
        if layer.votes is not None:
            self.note(layer.votes.outcome)
            if layer.votes.held:
                self.voted(layer.votes.winner is not None)
        self._agreed = layer.agreed
        if own:
            self._given = ()  # they are part of the result
        if enough.strict and self._agreed is None and (error := layer.shortage()) is not None:
            if not own:
                raise error
            if not (layer.late and layer.earlier):
                self.below_quorum(error)
                return given + found
            self.degrade(LAYER_LATE(layer=layer.number))
            return layer.earlier + found
        return given + found

    def below_quorum(self, error: MoaError) -> None:
        """Apply the setting `below_quorum` to a layer that has too few proposals for the reason `error`.

        Raises:
            MoaError: `error`, if the setting is `fail`.
        """
        policy = self._context.policy.below_quorum
        if policy == "fail":
            raise error
        self._shortage, self._alone = error, self._alone or policy == "single"
        self.degrade((TOO_FEW_ALONE if self._alone else TOO_FEW_WENT_ON)())

    def candidates(self, references: References) -> References:
        """Those of `references` that can be the answer, see `may_answer`, or the one that proposers agreed on.

        Raises `MoaError` if there are none.
        """
        if self._agreed is not None:
            return (self._agreed,)
        found = tuple(one for one in references if may_answer(one, self.request))
        if not found:
            recipe = self._context.report.recipe
            raise self._shortage or EngineFailed(recipe, "no proposal calls a tool, which tool_choice requires")
        return found

    async def ask(
        self, agent: Agent, task: Task, *, sampling: Mapping[str, Any] | None = None, steps: int = 1
    ) -> Completion:
        """Whole answer of one agent; with `task.as_answer` sampled like the final agent's. Raises `MoaError`.

        It is late once its share of the time is over: `steps` are those before the final answer, from this one on. 0:
        there is nothing to return without it, and it may take all the time.

        If the request has tools or continues a loop of calls, `task.as_answer` also gives the agent what the final one
        has: the tools, and tool turns as they are. With `tool_choice: none` too: the prompt begins like those of other
        turns, which are cached. `proposal` makes a reference of its answer.
        """
        if task.as_answer:
            task = replace(task, references=self._given + task.references)
        acts, until = self.acts or bool(self.request.tools), self._context.step_ends(steps)
        return await whole_answer(self._context, agent, task, sampling, acts=acts, until=until)

    def proposal(self, agent: Agent, answer: Completion) -> Reference | None:
        """Reference of an answer of `ask` with `as_answer`; None if it cannot be the answer, see `may_answer`."""
        request = self.request if self.supports_tools(agent) else replace(self.request, tools=())
        found = proposal_of(agent.model, request, answer.choices[0], as_answer=True, usage=answer.usage)
        return found if found is not None and may_answer(found, self.request) else None

    def supports_tools(self, agent: Agent) -> bool:
        """True if the agent's engine accepts tools and returns calls."""
        return self._context.supports_tools(agent)

    async def consult(
        self,
        agent: Agent,
        questions: Sequence[Sequence[Message]],
        *,
        role: str = "judge",
        sampling: Mapping[str, Any] | None = None,
        steps: int = 1,
    ) -> list[str]:
        """Opinions of one agent, all asked at once; "" where it could not give one, which degrades the answer.

        It is late once its share of the time is over: `steps` are those before the final answer, from this one on. 0:
        the opinions decide on the answer. It is not asked if there is no time left.
        """
        until = self._context.step_ends(steps)
        if self._context.remaining_s(until) <= 0:
            self.degrade(NOT_ASKED(role=role))
            return [""] * len(questions)
        return await opinions(self._context, agent, questions, role, sampling, until)

    def answer(
        self,
        agent: Agent,
        task: Task = Task(),  # noqa: B008 - frozen
        *,
        fallbacks: Sequence[Agent] = (),
        spare: References = (),
    ) -> AsyncGenerator[Delta, None]:
        """Stream of the final answer: the tool calls that proposers agreed on (`agreed`), or else the agent's.

        If `agent` fails before its first delta, `fallbacks` are tried in turn; those without tools are left out if the
        request has tools, and other models if it has token ids. If none can answer, or the deadline of the request
        passes before their first delta, the first of the references, or else of `spare`, is returned that can be the
        answer (`first_valid`). Every such step degrades the answer, and the report says so. Reasoning is visible: an
        agent that fails after it is not replaced, since the caller has read what it thought.

        A deadline that passes after the first delta cuts the answer: it ends with the finish reason `length`, and is
        degraded. If there was reasoning alone, and a proposal can be the answer, the proposal follows.

        Raises:
            InvalidRequest: the request itself is at fault.
            DeadlineExceeded: the deadline passed, and there is nothing to return.
            MoaError: no agent could answer, or the answering agent failed after its first delta.
        """
        if self._agreed is not None:
            return self.pick(self._agreed)
        task = replace(task, references=() if self._alone else self._given + task.references)
        return final_answer(self._context, agent, task, fallbacks, spare + self._spare)

    def staircase(
        self, agent: Agent, proposers: Sequence[Agent], chunks: Chunks, *, fallbacks: Sequence[Agent] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Stream of the answer of `agent`, which begins with the first chunks of the proposals, see `staircase`.

        If `agent` fails, the next of `fallbacks` that can continue a message continues its text. If none has written
        anything that the caller has seen, the answer is that of `answer`, from whole proposals. An answer that ends
        before the proposals do cancels them. Too few proposals degrade an answer that has begun, whatever
        `below_quorum` says.

        Raises:
            MoaError: as `propose` and `answer`.
        """
        context, given = self._context, self._given
        decoding, engines = context.request.sampling.decoding, context.runtime.engines
        able = [other for other in fallbacks if CONTINUING not in engines[other.model].info.unsupported]
        if decoding.token_id_field is not None:
            able = [other for other in able if other.model == agent.model]
        models = tuple(proposer.model for proposer in proposers)
        growing = GrowingProposals(models, given, chunks.first_tokens, chunks.tokens, chunks.parts)
        return staircase_answer(
            context,
            (agent, *able),
            chunks,
            growing,
            lambda: self.propose(proposers, growing=growing),
            lambda references: self.answer(agent, Task(references), fallbacks=fallbacks),
            given,
            len(models),
        )

    async def say(self, text: str, finish_reason: FinishReason = "stop") -> AsyncGenerator[Delta, None]:
        """Stream of a text that is known already. No call wrote it: its usage is the sum of the team."""
        yield Delta(text, finish_reason=finish_reason, usage=self._context.report.usage)

    async def pick(self, reference: Reference, reasoning: str = "") -> AsyncGenerator[Delta, None]:
        """Stream of a proposal as the answer: its text and its tool calls, not written again.

        `reasoning` is returned with it, if the proposal is that of an agent which thinks as the request asks.
        """
        yield replace(known_answer(self._context, reference), reasoning=reasoning)

    async def delegate(
        self, name: str, references: References = (), *, spare: References = ()
    ) -> AsyncGenerator[Delta, None]:
        """Stream of the final answer of another model or recipe, within this run; it also reads `references`.

        The first of `spare` that can be the answer is returned if none of its agents can write one. A model answers
        with the request's own sampling, as it would without this recipe. The delegate may shorten the time that is left
        of the whole request's deadline, not lengthen it.
        """
        given, spare = self._given + references, spare + self._spare
        recipe = self._recipes.get(name)
        if recipe is None:
            unchanged = self._context.policy.model_copy(update={"temperature": None})
            return Run(replace(self._context, policy=unchanged), self._recipes, given, spare).answer(Agent(model=name))
        with engine_failures(name, RecipeFailed):
            stream = await stream_of(recipe, Run(replace(self._context, policy=recipe), self._recipes, given, spare))
        return _delegated(name, stream)


async def stream_of(recipe: Strategy, run: Run) -> AsyncGenerator[Delta, None]:
    """Stream that the recipe's method `run` returns. Raises `RecipeFailed` if that is none."""
    stream: object = await recipe.run(run)
    if isinstance(stream, AsyncGenerator):
        return stream
    if iscoroutine(stream):
        stream.close()
        raise RecipeFailed(recipe.id, "its method `run` returned a coroutine; write `return await ...`")
    returned = "nothing" if stream is None else f"a value of type {type(stream).__name__}, not a stream"
    raise RecipeFailed(recipe.id, f"its method `run` returned {returned}; end it with `return run.answer(...)`")


async def _delegated(recipe: str, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """The stream of another recipe, whose defects are failures of that recipe."""
    with engine_failures(recipe, RecipeFailed):
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                yield delta

"""A run: one request's way through a recipe. Recipes say who answers whom, a run knows how.

What recipes call is here; one fan-out is in `serving.runtime.layer`, single calls in `serving.runtime.context`.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serving.errors import ContextTooLong, DeadlineExceeded, InvalidRequest, MoaError
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.layer import Layer
from serving.runtime.prompts import References
from serving.types import Completion, Delta, FinishReason, Message

if TYPE_CHECKING:
    from serving.recipes import Recipe


class Run:
    """The toolbox of a recipe, for one request."""

    def __init__(self, dispatcher: RunContext, recipes: Mapping[str, "Recipe"], given: References = ()) -> None:
        """`recipes`: by id, for `delegate`; `given`: answers to the request that somebody gave before this recipe.

        They are put before the proposals of the first `propose` that asks the request itself; until then whoever
        writes an answer (`answer`, `ask(final=True)`) is shown them.
        """
        self.request, self.ledger = dispatcher.request, dispatcher.ledger
        self._dispatcher, self._recipes, self._given = dispatcher, recipes, given

    async def propose(
        self,
        agents: Sequence[Agent],
        references: References = (),
        *,
        feeding: Sequence[Agent] = (),
        messages: Sequence[Message] | None = None,
        role: str = "proposer",
        needed: int | None = None,
        strict: bool = True,
        answering: bool = False,
    ) -> References:
        """Ask all `agents` at once; their usable answers, as references for the next layer.

        `references` are given to every agent. `feeding` are the agents that will get the result: their prompts are
        prefilled while the proposers run. `needed` replaces the policy's `min_proposals`; unless `strict`, fewer are no
        error. `answering`: a proposal may become the answer as it is, and is sampled with the caller's `stop`,
        `response_format` and `max_tokens`. `messages` ask something else than the request. The layer is done when
        all have ended, or when `min_proposals` are there and the straggler grace has passed; whoever is late is
        cancelled.

        Raises:
            QuorumNotReached: fewer than `min_proposals` usable answers.
            InvalidRequest, Overloaded: the same, where that is why.
            DeadlineExceeded: the whole request's deadline passed.
        """
        given = self._given if messages is None else ()
        layer = Layer(
            self._dispatcher,
            agents,
            references=references,
            messages=messages,
            role=role,
            needed=needed,
            strict=strict,
            answering=answering,
            feeding=feeding,
            before=given,
        )
        found = await layer.references()
        if messages is None:
            self._given = ()  # they are among what is returned
        return given + (tuple(replace(reference, as_answer=True) for reference in found) if answering else found)

    async def ask(
        self,
        agent: Agent,
        messages: Sequence[Message],
        *,
        role: str,
        references: References = (),
        sampling: Mapping[str, Any] | None = None,
        final: bool = False,
    ) -> Completion:
        """One whole answer of one agent. `final`: sampled as the caller wants the answer. Raises `MoaError`."""
        dispatcher = self._dispatcher
        base = dispatcher.answer_sampling(agent) if final else dispatcher.proposer_sampling(agent)
        call = dispatcher.call(
            agent,
            layer=dispatcher.next_layer(),
            position=0,
            role=role,
            references=self._given + references if final else references,
            messages=messages,
            sampling=replace(base, **(sampling or {})),
        )
        return await self._asked(call, agent)

    async def consult(
        self,
        agent: Agent,
        questions: Sequence[Sequence[Message]],
        *,
        role: str = "judge",
        sampling: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """An agent's opinions, all asked at once; "" where it could not give one, which degrades the answer."""
        layer = self._dispatcher.next_layer()
        chosen = replace(self._dispatcher.proposer_sampling(agent), **(sampling or {}))

        async def opinion(position: int, asked: Sequence[Message]) -> str:
            call = self._dispatcher.call(
                agent, layer=layer, position=position, role=role, references=(), messages=asked, sampling=chosen
            )
            try:
                return (await self._asked(call, agent)).text
            except MoaError:
                return ""  # told in the ledger

        # A group, so that none goes on when another has failed by a defect or all are cancelled.
        async with asyncio.TaskGroup() as group:
            opinions = [group.create_task(opinion(*place)) for place in enumerate(questions)]
        return [task.result() for task in opinions]

    async def answer(
        self,
        agent: Agent,
        references: References = (),
        *,
        messages: Sequence[Message] | None = None,
        fallbacks: Sequence[Agent] = (),
        spare: References = (),
        role: str = "aggregator",
    ) -> AsyncGenerator[Delta, None]:
        """The final answer's deltas as they come.

        Where `agent` fails before its first visible token, `fallbacks` are tried in turn, and where none can
        answer, the first of the references, or else of `spare`, is given that keeps the caller's `response_format`
        and `stop`. Every such step degrades the answer, and the report says so.

        Raises:
            InvalidRequest: the request itself is at fault.
            MoaError: nobody could answer, or the answering agent failed after its first token.
        """
        dispatcher = self._dispatcher
        references = self._given + references
        layer = dispatcher.next_layer()
        failures: list[MoaError] = []
        for position, candidate in enumerate((agent, *fallbacks)):
            call = dispatcher.call(
                candidate,
                layer=layer,
                position=position,
                role=role,
                references=references,
                messages=messages,
                sampling=dispatcher.answer_sampling(candidate),
            )
            spoke = False
            try:
                async with aclosing(
                    call.stream(
                        deadline_s=min(candidate.deadline_s or math.inf, dispatcher.remaining_s()),
                        first_token_deadline_s=candidate.first_token_deadline_s
                        or dispatcher.policy.first_token_deadline_s,
                    )
                ) as stream:
                    async for delta in stream:
                        spoke = True
                        if delta.terminal:
                            dispatcher.record(call)  # before the terminal delta, which carries the report
                        yield delta
                return
            except MoaError as error:
                if spoke or (isinstance(error, InvalidRequest) and not isinstance(error, ContextTooLong)):
                    raise
                failures.append(error)
                if dispatcher.remaining_s() <= 0:
                    raise DeadlineExceeded(f"'{self.ledger.recipe}'", dispatcher.deadline_s) from None
            finally:
                if call.outcome != "ok":
                    dispatcher.record(call)
        known = self._first_known(references + spare)
        if known is None or all(isinstance(error, ContextTooLong) for error in failures):
            raise failures[0]
        self.ledger.degrade(
            "no model could join the proposals; the first of them is the answer"
            if references
            else "no model could write the answer anew; an earlier one is given"
        )
        yield known

    async def say(self, text: str, finish_reason: FinishReason = "stop") -> AsyncGenerator[Delta, None]:
        """An answer that is known already: a proposal that was picked, not written anew. Holds nothing open."""
        yield self._known(text, finish_reason)

    async def delegate(self, name: str, references: References = ()) -> AsyncGenerator[Delta, None]:
        """The final answer of another model or recipe, within this run; it gets `references` beside its own.

        A model answers with the request's own sampling, as it would without this recipe. What is left of the whole
        request's deadline may be shortened there, not lengthened.
        """
        given = self._given + references
        recipe = self._recipes.get(name)
        if recipe is None:
            untouched = self._dispatcher.policy.model_copy(update={"temperature": None})
            stream = Run(replace(self._dispatcher, policy=untouched), self._recipes, given).answer(Agent(model=name))
        else:
            stream = recipe.run(Run(replace(self._dispatcher, policy=recipe), self._recipes, given))
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                yield delta

    def _known(self, text: str, finish_reason: FinishReason = "stop") -> Delta:
        return Delta(text, finish_reason=finish_reason, usage=self.ledger.usage)

    def _first_known(self, references: References) -> Delta | None:
        """The first of `references` that can be the answer, cut where the caller's `stop` would have ended it."""
        asked = self.request.sampling
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
        try:
            completion = await self._dispatcher.whole(call, agent)
            call.text = completion.text
            call.outcome = "ok" if completion.text.strip() else "empty"
            return completion
        finally:
            self._dispatcher.record(call)

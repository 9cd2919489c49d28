"""One fan-out: agents asked at once until enough have answered, and the prefills of the agents that they feed."""

import asyncio
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

from serving.errors import DeadlineExceeded, InvalidRequest, MoaError, Overloaded, QuorumNotReached
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.prefill import BLOCK_CHARACTERS, STEP_CHARACTERS, Prefill, marker
from serving.runtime.prefill import PRIORITY as PREFILL_PRIORITY
from serving.runtime.prompts import References
from serving.runtime.proposals import Proposals
from serving.types import AgentStatus, Completion, Message, Sampling, TokenUsage

# What does not change a prompt does not need a prefill of its own.
_PROMPT_ONLY = {
    "temperature": None,
    "top_p": None,
    "max_tokens": None,
    "deadline_s": None,
    "first_token_deadline_s": None,
}


@dataclass
class _Group:
    """Identical agents of one layer: one call with n answers."""

    agent: Agent
    slots: tuple[int, ...]
    call: AgentCall


class Layer:
    """Built for one `references()`, which does the work and leaves none behind."""

    def __init__(
        self,
        dispatcher: RunContext,
        agents: Sequence[Agent],
        *,
        references: References,
        messages: Sequence[Message] | None,
        role: str,
        needed: int | None,
        strict: bool,
        answering: bool,
        feeding: Sequence[Agent],
        before: References,
    ) -> None:
        """Nothing starts yet.

        Args:
            references: shown to every agent.
            messages: instead of the request's, where not `None`.
            needed: usable answers that are enough, instead of the policy's `min_proposals`.
            strict: whether fewer are an error.
            answering: whether a proposal may become the answer, and is sampled as that.
            feeding: the agents that will be shown `before`, then this layer's references.
        """
        policy = dispatcher.policy
        self._dispatcher, self._feeding, self._before = dispatcher, feeding, before
        self._number = dispatcher.next_layer()
        self._needed = min(policy.min_proposals, len(agents)) if needed is None else needed
        self._strict = strict
        self._proposals = Proposals([agent.model for agent in agents], policy.reference_order)
        self._failures: list[MoaError] = []
        self._marker = marker()
        self._groups = [
            _Group(
                agent,
                slots,
                dispatcher.call(
                    agent,
                    layer=self._number,
                    position=slots[0],
                    role=role,
                    references=references,
                    messages=messages,
                    sampling=_sampling(dispatcher.proposer_sampling(agent, answering), len(slots), shift),
                ),
            )
            for agent, slots, shift in _groups(dispatcher, agents)
        ]
        self._prefills: dict[Agent, Prefill] = {}
        self._tasks: dict[asyncio.Task[None], _Group] = {}

    async def references(self) -> References:
        """Ask all agents; their usable answers in the policy's order, once there are enough and the rest is late.

        However this ends, what still runs is handed to the dispatcher to be cancelled.

        Raises:
            QuorumNotReached: too few usable answers.
            InvalidRequest, Overloaded: the same, where that is why.
            DeadlineExceeded: the whole request's deadline passed.
        """
        try:
            self._start()
            await self._wait()
        finally:
            self._cancel()
        if self._strict and self._proposals.usable < self._needed:
            raise self._why_too_few()
        return self._proposals.references()

    def _start(self) -> None:
        policy, runtime = self._dispatcher.policy, self._dispatcher.runtime
        if policy.prefill != "off":
            for agent in dict.fromkeys(agent.model_copy(update=_PROMPT_ONLY) for agent in self._feeding):
                self._prefills[agent] = Prefill(agent.model, runtime.engines[agent.model], self._told(agent.model))
        incremental = policy.prefill == "incremental" and bool(self._prefills)
        for group in self._groups:
            task = asyncio.create_task(self._propose(group, incremental), name=group.call.request.request_id)
            self._tasks[task] = group
        self._feed()

    async def _wait(self) -> None:
        """Return when all agents have ended, or when enough have and the straggler grace has passed."""
        pending = set(self._tasks)
        grace_s = self._dispatcher.policy.straggler_grace_s
        give_up: float | None = None
        loop = asyncio.get_running_loop()
        while pending:
            timeout = None if give_up is None else max(give_up - loop.time(), 0)
            done, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a defect, not a MoaError, ends the request here
            self._feed()
            if not done or self._hopeless(pending):
                break
            if give_up is None and grace_s is not None and self._proposals.usable >= self._needed:
                give_up = loop.time() + grace_s
        late: AgentStatus = "cancelled" if self._hopeless(pending) else "straggler"
        for task in pending:
            self._tasks[task].call.outcome = late

    def _hopeless(self, pending: Set[asyncio.Task[None]]) -> bool:
        """Whether even all that are `pending` could not make enough, where fewer are an error."""
        possible = self._proposals.usable + sum(len(self._tasks[task].slots) for task in pending)
        return self._strict and possible < self._needed

    def _cancel(self) -> None:
        for prefill in self._prefills.values():
            self._dispatcher.cancel(prefill.task)
        for task, group in self._tasks.items():
            if not task.done():
                self._record_lost(group)
                self._dispatcher.cancel(task)

    def _record_lost(self, group: _Group) -> None:
        for slot in group.slots:
            group.call.place = replace(group.call.place, agent=slot)
            self._dispatcher.record(group.call)

    async def _propose(self, group: _Group, incremental: bool) -> None:
        def on_text(text: str) -> None:
            self._proposals.write(group.slots[0], text)
            self._feed(STEP_CHARACTERS)

        try:
            completion = await self._dispatcher.whole(
                group.call, group.agent, on_text if incremental and len(group.slots) == 1 else None
            )
        except MoaError as error:
            self._failures.append(error)
            for slot in group.slots:
                self._proposals.finish(slot, None)
            self._record_lost(group)
        else:
            self._keep(group, completion)

    def _keep(self, group: _Group, completion: Completion) -> None:
        call = group.call
        for slot, choice in zip(group.slots, completion.choices, strict=True):
            self._proposals.finish(slot, choice.text, choice.finish_reason)
            call.text, call.outcome = choice.text, "ok" if choice.text.strip() else "empty"
            call.place = replace(call.place, agent=slot)
            self._dispatcher.record(call)
            # One call, several answers: its tokens are counted with the first. What is lost is so for each of them.
            if call.usage.total_tokens is not None:
                call.usage = TokenUsage()

    def _why_too_few(self) -> MoaError:
        dispatcher = self._dispatcher
        if dispatcher.remaining_s() <= 0:
            return DeadlineExceeded(f"'{dispatcher.ledger.recipe}'", dispatcher.deadline_s)
        for kind in (InvalidRequest, Overloaded):
            if found := next((error for error in self._failures if isinstance(error, kind)), None):
                return found
        reasons = tuple(dict.fromkeys(str(error).rstrip(".") for error in self._failures))
        return QuorumNotReached(self._number, self._proposals.usable, self._needed, reasons)

    # -- prefill ahead -----------------------------------------------------------------------------------------

    def _told(self, model: str) -> Callable[[bool], None]:
        dispatcher = self._dispatcher
        return lambda ok: dispatcher.runtime.observer.prefilled(dispatcher.ledger.recipe, model, ok)

    def _feed(self, step_characters: int = BLOCK_CHARACTERS) -> None:
        """Have the fed agents' prompts computed as far as they are known, where that is `step_characters` more."""
        if not self._prefills:
            return
        references, characters = self._proposals.known(self._marker)
        if not references or not references[-1].text.endswith(self._marker):
            return  # all is known: the real call comes now
        asked = self._dispatcher.request
        for agent, prefill in self._prefills.items():
            if not prefill.wants(characters, step_characters):
                continue
            request = replace(
                asked,
                request_id=f"{asked.request_id}-{self._number + 1}-prefill-{characters}",
                messages=self._dispatcher.prompt(agent, self._before + references, None),
                sampling=Sampling(temperature=0, max_tokens=1),
                priority=PREFILL_PRIORITY,
                stream_interval=None,
                prefill_marker=self._marker,
                options={},
            )
            prefill.update(request, characters)


def _groups(dispatcher: RunContext, agents: Sequence[Agent]) -> list[tuple[Agent, tuple[int, ...], int]]:
    """Identical agents that sample become one call with n answers; greedy ones stay apart, and are shared.

    An endpoint that gives one answer a call is asked as often as answers are wanted. The third value is then what sets
    their seeds apart: the same one would make them one answer.
    """
    slots_of: dict[Agent, list[int]] = {}
    for slot, agent in enumerate(agents):
        slots_of.setdefault(agent, []).append(slot)
    groups: list[tuple[Agent, tuple[int, ...], int]] = []
    for agent, slots in slots_of.items():
        if dispatcher.proposer_sampling(agent).temperature == 0:
            groups.extend((agent, (slot,), 0) for slot in slots)
        elif "n" in getattr(dispatcher.runtime.engines[agent.model], "unsupported", ()):
            groups.extend((agent, (slot,), shift) for shift, slot in enumerate(slots))
        else:
            groups.append((agent, tuple(slots), 0))
    return groups


def _sampling(sampling: Sampling, choices: int, shift: int) -> Sampling:
    seed = sampling.seed if sampling.seed is None or not shift else (sampling.seed + shift) % 2**63
    return replace(sampling, n=choices, seed=seed)

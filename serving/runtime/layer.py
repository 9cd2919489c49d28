"""One layer: agents asked at once until enough have answered, and the prefill of the agents that read them."""

import asyncio
from collections.abc import Sequence, Set

from serving.errors import DeadlineExceeded, InvalidRequest, MoaError, Overloaded, QuorumNotReached
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.prefill import STEP_CHARACTERS, LayerPrefill
from serving.runtime.proposals import Proposals
from serving.runtime.task import Quorum, Task
from serving.types import AgentStatus, References


class Layer:
    """A fan-out, built for one `references()`, which does the work and leaves none behind."""

    def __init__(
        self,
        context: RunContext,
        agents: Sequence[Agent],
        task: Task,
        quorum: Quorum,
        *,
        readers: Sequence[Agent] = (),
        before: References = (),
        final: bool = False,
    ) -> None:
        """Prepare the layer; nothing starts yet.

        Args:
            context: the run.
            agents: the members, by slot.
            task: the question to all of them.
            quorum: usable answers that are enough.
            readers: agents of the next layer, which will read `before`, then this layer's references.
            before: references that they read first.
            final: the readers write the final answer.
        """
        self._final = final
        self._context, self._agents, self._quorum = context, agents, quorum
        self._readers, self._before = readers, before
        self._proposals = Proposals([agent.model for agent in agents], context.policy.reference_order)
        self._failures: list[MoaError] = []
        self._calls = context.calls(agents, task)
        self._number = self._calls[0].layer
        self._tasks: dict[asyncio.Task[None], AgentCall] = {}

    async def references(self) -> References:
        """Ask all agents; the usable answers in the policy's order, once there are enough and the grace has passed.

        In every case the tasks that still run are handed to the context, which cancels them.

        Raises:
            QuorumNotReached: too few usable answers.
            InvalidRequest, Overloaded: the same, for one of these reasons.
            DeadlineExceeded: the deadline of the whole request passed.
        """
        prefill = LayerPrefill(
            self._context, self._readers, self._proposals, self._before, self._number, final=self._final
        )
        try:
            for call in self._calls:
                task = asyncio.create_task(self._propose(call, prefill), name=call.request.request_id)
                self._tasks[task] = call
            prefill.update()
            await self._wait(prefill)
        finally:
            prefill.cancel()
            for task, call in self._tasks.items():
                if not task.done():
                    self._context.record(call)
                    self._context.cancel(task)
        if self._quorum.strict and self._proposals.usable < self._quorum.needed:
            raise self._too_few()
        return self._proposals.references()

    async def _wait(self, prefill: LayerPrefill) -> None:
        """Return when all agents have ended, or enough have and the straggler grace has passed."""
        pending = set(self._tasks)
        grace_s = self._context.policy.straggler_grace_s
        give_up: float | None = None
        loop = asyncio.get_running_loop()
        while pending:
            timeout = None if give_up is None else max(give_up - loop.time(), 0)
            done, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a defect, not a MoaError, ends the request here
            prefill.update()
            if not done or self._hopeless(pending):
                break
            if give_up is None and grace_s is not None and self._proposals.usable >= self._quorum.needed:
                give_up = loop.time() + grace_s
        status: AgentStatus = "cancelled" if self._hopeless(pending) else "straggler"
        for task in pending:
            self._tasks[task].status = status

    def _hopeless(self, pending: Set[asyncio.Task[None]]) -> bool:
        """True if the quorum cannot be reached even if every pending call succeeds."""
        possible = self._proposals.usable + sum(len(self._tasks[task].slots) for task in pending)
        return self._quorum.strict and possible < self._quorum.needed

    async def _propose(self, call: AgentCall, prefill: LayerPrefill) -> None:
        def on_text(text: str) -> None:
            self._proposals.write(call.slots[0], text)
            prefill.update(STEP_CHARACTERS)

        try:
            completion = await self._context.whole(
                call,
                self._agents[call.slots[0]],
                on_text if prefill.incremental and len(call.slots) == 1 else None,
            )
        except MoaError as error:
            self._failures.append(error)
            for slot in call.slots:
                self._proposals.finish(slot, None)
            self._context.record(call)
        else:
            for slot, choice in zip(call.slots, completion.choices, strict=True):
                self._proposals.finish(slot, choice.text, choice.finish_reason)
            self._context.record(call, completion)

    def _too_few(self) -> MoaError:
        context = self._context
        if context.remaining_s() <= 0:
            return DeadlineExceeded(f"'{context.report.recipe}'", context.deadline_s)
        for kind in (InvalidRequest, Overloaded):
            if found := next((error for error in self._failures if isinstance(error, kind)), None):
                return found
        reasons = tuple(dict.fromkeys(str(error).rstrip(".") for error in self._failures))
        return QuorumNotReached(self._number, self._proposals.usable, self._quorum.needed, reasons)

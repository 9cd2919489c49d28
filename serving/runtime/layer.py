"""One layer: agents asked at once until enough have answered, and the prefill of the agents that read them."""

import asyncio
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from serving.errors import ContextTooLong, DeadlineExceeded, InvalidRequest, MoaError, Overloaded, QuorumNotReached
from serving.references import Reference, References
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.confidence import ConfidenceWatch
from serving.runtime.context import RunContext
from serving.runtime.drafts import Votes
from serving.runtime.emptiness import stopped_at_once
from serving.runtime.growing import GrowingProposals
from serving.runtime.prefill import STEP_CHARACTERS, LayerPrefill
from serving.runtime.proposals import Proposals, proposal_of
from serving.runtime.task import Decision, Quorum, Task
from serving.types import AgentStatus, Choice, Completion, Delta
from serving.usage import TokenUsage

REFILL_SEED_SHIFT = 2**16  # more than the slots of a layer: a substitute's answer is not its model's own again


class Layer:
    """A fan-out, built for one `references()`, which does the work and leaves none behind.

    Attributes:
        votes: votes on drafted tool calls; None if the agents draft none, or the quorum excludes a vote.
        asked: number of agents that were asked.
        settled: the layer was ended by its `decision`.
        spared: answers that were not needed then: of agents that were cancelled, or not asked.
        number: of the layer, from 1.
        late: the layer was ended because its time was over.
        earlier: references to the same question from before this layer.
    """

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
        team: Sequence[Agent] = (),
        steps: int = 1,
        decision: Decision | None = None,
        wave: int | None = None,
        growing: GrowingProposals | None = None,
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
            team: agents whose models take slots that failed, if the policy says so; by default `agents`.
            steps: of the recipe before its final answer, from this layer on; see `RunContext.step_ends`.
            decision: called after each answer that ended, once there are enough: True ends the layer.
            wave: agents that are asked at once; the next ones are asked when all of these have ended. None: all. With
                `task.confidence` the first wave is its warm-up.
            growing: receives the proposals while they are being written. None: nobody reads them before their ends.
        """
        own, below_quorum = task.messages is None, context.policy.below_quorum
        self.earlier = before or (task.references if own else ())
        self.late = False
        self._strict = quorum.strict and not (own and below_quorum == "answer")
        # Loop times at which the layer ends: with its quorum, and without.
        self._cut_at = self._give_up_at = context.step_ends(steps)
        if (self._strict or quorum.patient) and not (own and below_quorum != "fail"):
            self._give_up_at = context.answer_begins if self.earlier else math.inf
        self._final, self._task = final, task
        self._context, self._quorum = context, quorum
        self._agents = dict(enumerate(agents))
        self._models = tuple(dict.fromkeys(agent.model for agent in team or agents))
        self._readers, self._before = readers, before
        self._proposals = Proposals(len(agents), context.policy.reference_order)
        self._failures: list[MoaError] = []
        self._failed_models: set[str] = set()
        self._refilled: set[int] = set()
        self.number = context.next_layer()
        self._decision, self._wave, self._growing = decision, wave or len(agents), growing
        self.asked = self.spared = 0
        self._confidence = None if task.confidence is None else ConfidenceWatch(task.confidence)
        self._doubted: set[asyncio.Task[None]] = set()  # tasks that were stopped
        self._settling: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: dict[asyncio.Task[None], AgentCall] = {}
        voters = sum(context.supports_tools(agent) for agent in agents) if task.drafts and quorum.vote else 0
        # One draft decides nothing, and neither do fewer than the recipe asks of a layer.
        needed = max(voters // 2 + 1, 2, quorum.needed)
        self.votes: Votes | None = Votes(self.number, voters, needed) if voters else None
        # Drafts that the caller's own `stop` ended before their first character, by slot.
        self._stopped: dict[int, Reference] = {}

    async def references(self) -> References:
        """Ask all agents; the usable answers in the policy's order, once there are enough and the grace has passed.

        A vote that is decided ends the layer at once. In every case the tasks that still run are handed to the context,
        which cancels them.
        """
        prefill = LayerPrefill(
            self._context, self._readers, self._proposals, self._before, self.number, final=self._final
        )
        events = self._context.events
        if events is not None:
            events.layer_started(self.number, len(self._agents), self._quorum.needed)
        try:
            self._ask_more(prefill)
            prefill.update()
            await self._wait(prefill)
        finally:
            prefill.cancel()
            for task, call in self._tasks.items():
                if not task.done() and task not in self._doubted:
                    ended = self._ended(call)
                    self.spared += len(call.slots) - len(ended)
                    for slot, proposal in ended.items():
                        self._end(slot, proposal)
                    self._context.record(call)
                    self._context.cancel(task)
        self.spared = self.spared + self._unasked if self.settled else 0
        if events is not None:
            late = ("straggler", "timeout")
            cut = [call.slots for task, call in self._tasks.items() if task.cancelling() and call.status in late]
            events.layer_finished(self.number, self._proposals.usable, tuple(slot for slots in cut for slot in slots))
            if self.votes is not None:
                events.vote_ended(self.number, self.votes.outcome, self.votes.winner is not None)
        return self._proposals.references()

    @property
    def agreed(self) -> Reference | None:
        """The draft that is the answer: the vote's winner, or an empty one, as `stop` ends every answer at once."""
        if self.votes is not None and self.votes.winner is not None:
            return self.votes.winner
        if self._quorum.strict and len(self._stopped) >= self._quorum.needed > self._proposals.usable:
            return next(iter(self._stopped.values()))
        return None

    def shortage(self) -> MoaError | None:
        """The error of a layer with fewer usable answers than its quorum; None if there are enough.

        It is `QuorumNotReached`, or its cause: `InvalidRequest`, `Overloaded`, or `DeadlineExceeded` of the request.
        """
        context = self._context
        if self._proposals.usable >= self._quorum.needed:
            return None
        if context.remaining_s() <= 0:
            return DeadlineExceeded(f"'{context.report.recipe}'", context.deadline_s)
        for kind in (InvalidRequest, Overloaded):
            if found := next((error for error in self._failures if isinstance(error, kind)), None):
                return found
        reasons = tuple(dict.fromkeys(str(error).rstrip(".") for error in self._failures))
        return QuorumNotReached(self.number, self._proposals.usable, self._quorum.needed, reasons)

    @property
    def settled(self) -> bool:
        return self._settling.done()

    @property
    def _unasked(self) -> int:
        return len(self._agents) - self.asked

    def _ask_more(self, prefill: LayerPrefill) -> None:
        """Ask the agents of the next wave."""
        first, size = self.asked, self._wave
        if self._confidence is not None and first:
            self._confidence.warmed(self._proposals.references())
        elif self._confidence is not None:
            size = self._confidence.settings.warmup
        self.asked = min(first + size, len(self._agents))
        agents = {slot: self._agents[slot] for slot in range(first, self.asked)}
        # The choices of a call count their seeds up from its own: those of another wave begin behind them.
        for call in self._context.calls(
            agents, self._task, layer=self.number, seed_shift=first, separate=self._growing is not None
        ):
            self._start(call, prefill)

    def _start(self, call: AgentCall, prefill: LayerPrefill) -> None:
        if self._growing is not None:
            call.text_interval = self._growing.stream_interval
            call.request = replace(call.request, running_usage="answer")
        self._tasks[asyncio.create_task(self._propose(call, prefill), name=call.request.request_id)] = call

    async def _wait(self, prefill: LayerPrefill) -> None:
        """Return when all agents have ended, a vote is decided, or enough have ended and the grace or time is over."""
        pending = set(self._tasks)
        settling: set[asyncio.Future[None]] = set() if self._decision is None else {self._settling}
        grace_s = self._context.policy.straggler_grace_s
        grace_ends: float | None = None
        loop = asyncio.get_running_loop()
        while pending or self._unasked:
            enough = self._proposals.usable >= self._quorum.needed
            if not pending:
                self.late = loop.time() >= (self._cut_at if enough else self._give_up_at)
                if self.late:
                    break
                self._ask_more(prefill)
                pending, grace_ends = self._running(), None
            if enough and grace_ends is None:
                grace_ends = math.inf if grace_s is None else loop.time() + grace_s
            step_ends = self._cut_at if enough else self._give_up_at
            until = step_ends if grace_ends is None else min(step_ends, grace_ends)
            timeout = None if until == math.inf else max(until - loop.time(), 0)
            done, _ = await asyncio.wait(pending | settling, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done - self._doubted:
                task.result()  # a defect, not a MoaError, ends the request here
            pending = self._running()  # with those that took a slot meanwhile
            prefill.update()
            if not done:
                self.late = until == step_ends
                break
            if self._decided or self._hopeless(pending):
                break
        status: AgentStatus = "timeout" if self.late else "straggler"
        if self._decided or self._hopeless(pending):
            status = "cancelled"
        for task in pending:
            self._tasks[task].status = status

    @property
    def _decided(self) -> bool:
        return self.settled or (self.votes is not None and self.votes.winner is not None)

    def _running(self) -> set[asyncio.Task[None]]:
        return {task for task in self._tasks if not task.done() and task not in self._doubted}

    def _doubt(self, call: AgentCall, delta: Delta) -> None:
        """Stop `call` if its confidence has fallen below the threshold of its model."""
        watch, answer = self._confidence, (call.slots[0], call.uncounted)
        if watch is None or not watch.falls(answer, call.model, delta):
            return
        [task] = [task for task, other in self._tasks.items() if other is call]
        if task in self._doubted or self.settled:
            return
        self._doubted.add(task)
        call.doubted = True
        for slot in call.slots:
            self._end(slot, None)
        self._context.record(call)
        self._context.cancel(task)
        self._settle()

    def _settle(self) -> None:
        """End the layer if its `decision` says that it needs no more answers."""
        if self._decision is None or self.settled:
            return
        ended: dict[int, Reference | None] = {}
        for task, call in self._tasks.items():
            if not task.done() and task not in self._doubted:
                ended.update(self._ended(call))
        arrived = self._proposals.arrived(self._before, ended)
        enough = len(arrived.references) - len(self._before) >= self._quorum.needed
        if arrived.missing and enough and self._decision(arrived):
            self._settling.set_result(None)

    def _ended(self, call: AgentCall) -> dict[int, Reference | None]:
        """Proposals of the choices of a running call that have ended, by slot."""
        found: dict[int, Reference | None] = {}
        for position, choice in call.choices.items():
            slot = call.slots[position]
            found[slot] = self._proposal(call, choice, call.usage)
        return found

    def _proposal(self, call: AgentCall, choice: Choice, usage: TokenUsage) -> Reference | None:
        """Proposal of one choice of a call; None if it is not usable."""
        if self._task.as_answer and stopped_at_once(choice, call.request.sampling, usage.completion_tokens):
            return Reference(call.model, "", "stop", as_answer=True, usage=usage)
        found = proposal_of(call.model, call.request, choice, as_answer=self._task.as_answer, usage=usage)
        if found is None or self._confidence is None:
            return found
        return replace(found, confidence=self._confidence.of(choice))

    def _hopeless(self, pending: Set[asyncio.Task[None]]) -> bool:
        """True if the quorum cannot be reached even if every pending call succeeds."""
        running = sum(len(self._tasks[task].slots) for task in pending)
        possible = self._proposals.usable + running + self._unasked
        return self._strict and possible < self._quorum.needed

    async def _propose(self, call: AgentCall, prefill: LayerPrefill) -> None:
        def on_text(text: str) -> None:
            self._proposals.write(call.slots[0], text)
            if self._growing is not None:
                self._growing.wrote(call.slots[0], text, call.written_tokens)
            if prefill.incremental:
                prefill.update(STEP_CHARACTERS)

        def watch(delta: Delta) -> None:
            self._doubt(call, delta)
            # The last choice ends with the call, whose end has the whole usage: `_propose` adds it.
            if delta.finish_reason is not None and not delta.terminal and delta.index < len(call.slots):
                self._proposals.arrive(call.slots[delta.index])
                self._settle()

        found: dict[int, Reference | None] = dict.fromkeys(call.slots)
        completion: Completion | None = None
        error: MoaError | None = None
        try:
            completion = await self._context.whole(
                call,
                self._agents[call.slots[0]],
                on_text if self._growing is not None or (prefill.incremental and len(call.slots) == 1) else None,
                watch=None if self._decision is None and self._confidence is None else watch,
            )
        except MoaError as raised:
            if call.doubted:
                return  # as all of this was recorded when it was stopped
            error = raised
            self._failures.append(error)
        else:
            if call.doubted:
                return
            tokens = completion.usage.completion_tokens
            for slot, choice in zip(call.slots, completion.choices, strict=True):
                found[slot] = self._proposal(call, choice, completion.usage)
                if not self._task.as_answer and stopped_at_once(choice, call.request.sampling, tokens):
                    self._stopped[slot] = Reference(call.model, "", "stop", as_answer=True, usage=completion.usage)
        unusable = [slot for slot, proposal in found.items() if proposal is None and slot not in self._stopped]
        substitutes = self._substitutes(unusable, error)
        self._context.record(call, completion, substitutes)
        for slot, proposal in found.items():
            if slot not in substitutes:
                self._end(slot, proposal)
        self._refill(substitutes, prefill)
        self._settle()

    def _end(self, slot: int, proposal: Reference | None) -> None:
        self._proposals.finish(slot, proposal)
        if self._growing is not None:
            self._growing.ended(slot, proposal)
        if self.votes is not None:
            self.votes.add(slot, proposal)

    # -- refill ------------------------------------------------------------------------------------------------

    def _substitutes(self, slots: Sequence[int], error: MoaError | None) -> dict[int, Agent]:
        """For `slots`, which have no usable answer, the agents that are asked next: each slot is refilled once.

        They are other models of the team that have not failed here, in the role of the slot's agent. An error that is
        the caller's would be every model's, except for a context that is too small.
        """
        self._failed_models.update(self._agents[slot].model for slot in slots)
        of_caller = isinstance(error, InvalidRequest) and not isinstance(error, ContextTooLong)
        if not self._context.policy.refill or of_caller or self._context.remaining_s() <= 0:
            return {}
        found: dict[int, Agent] = {}
        for slot in slots:
            agent = self._agents[slot]
            turn = self._models.index(agent.model) + 1 if agent.model in self._models else 0
            able = [model for model in self._models[turn:] + self._models[:turn] if model not in self._failed_models]
            if able and slot not in self._refilled:
                found[slot] = agent.model_copy(update={"model": able[0]})
        return found

    def _refill(self, substitutes: Mapping[int, Agent], prefill: LayerPrefill) -> None:
        """Ask `substitutes`, by slot, in this layer."""
        self._refilled.update(substitutes)
        self._agents.update(substitutes)
        for slot, agent in substitutes.items():
            self._proposals.write(slot, "")
            if self._growing is not None:
                self._growing.wrote(slot, "", 0)
            self._context.runtime.observer.refilled(self._context.report.recipe, agent.model)
        shift, separate = REFILL_SEED_SHIFT, self._growing is not None
        calls = self._context.calls(substitutes, self._task, layer=self.number, seed_shift=shift, separate=separate)
        for call in calls:
            self._start(call, prefill)

"""How a run's calls are made: their ids, priorities, sampling and deadlines, and the account that is kept of them."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from serving.runtime.agents import Agent, answer_sampling, proposer_sampling
from serving.runtime.call import AgentCall, Place, Runtime
from serving.runtime.policy import Policy
from serving.runtime.prompts import References, with_references, with_system
from serving.runtime.report import ReportBuilder
from serving.types import Completion, GenerateRequest, Message, Sampling

LAYERS_APART = 64  # priorities between two requests whose callers' `priority` differs by one


@dataclass
class RunContext:
    """Makes the calls of one request; recipes reach it through `Run` alone."""

    request: GenerateRequest
    policy: Policy
    runtime: Runtime
    ledger: ReportBuilder
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    layers: int = 0  # begun so far
    ends: float = math.inf  # the loop's time at which the whole request must have ended; whoever takes over keeps it
    _ending: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """A policy and the caller of this engine may shorten the time that is left, never lengthen it."""
        given_s = min(self.policy.deadline_s, self.request.deadline_s or self.policy.deadline_s)
        self.ends = min(self.ends, self.started + given_s)

    def next_layer(self) -> int:
        """The number of a new layer; they count from 1."""
        self.layers += 1
        return self.layers

    @property
    def deadline_s(self) -> float:
        """The whole request's: the least that its recipes and the caller of this engine give it."""
        return self.ends - self.started

    def remaining_s(self) -> float:
        """Seconds left until the whole request's deadline."""
        return max(self.ends - asyncio.get_running_loop().time(), 0.0)

    def proposer_sampling(self, agent: Agent, answering: bool = False) -> Sampling:
        """`answering`: the proposal may be given out as it is, so that the caller's limits on an answer hold for it."""
        policy, asked = self.policy, self.request.sampling
        sampling = proposer_sampling(
            agent, asked, temperature=policy.temperature, max_tokens=policy.proposal_max_tokens
        )
        if not answering:
            return sampling
        limits = [limit for limit in (sampling.max_tokens, asked.max_tokens) if limit is not None]
        return replace(
            sampling,
            stop=asked.stop,
            response_format=asked.response_format,
            max_tokens=min(limits, default=None),
            min_tokens=min([sampling.min_tokens, *limits]),
        )

    def answer_sampling(self, agent: Agent) -> Sampling:
        changes = answer_sampling(agent, self.request.sampling, temperature=self.policy.temperature)
        sampling = replace(self.request.sampling, **changes)
        if self.request.token_cap is None or sampling.max_tokens is None:
            return sampling
        # The limit was reckoned with every answer at `token_cap`, whatever its agent would allow.
        most = min(sampling.max_tokens, self.request.token_cap)
        return replace(sampling, max_tokens=most, min_tokens=min(sampling.min_tokens, most))

    def prompt(self, agent: Agent, references: References, messages: Sequence[Message] | None) -> tuple[Message, ...]:
        """What `agent` reads: `messages` (the request's where `None`) and the references."""
        conversation = with_system(self.request.messages if messages is None else messages, agent.system)
        return with_references(conversation, references, layout=self.policy.layout, prompt=self.policy.prompt)

    def call(
        self,
        agent: Agent,
        *,
        layer: int,
        position: int,
        role: str,
        references: References,
        messages: Sequence[Message] | None,
        sampling: Sampling,
    ) -> AgentCall:
        """The call of one agent, not begun yet; `position` is its place in `layer`."""
        request = replace(
            self.request,
            request_id=f"{self.request.request_id}-{layer}-{position}",
            messages=(),
            sampling=sampling,
            # Later layers first: what has begun shall end. A first layer stands where a plain model's request does.
            priority=self.request.priority * LAYERS_APART - min(layer, LAYERS_APART) + 1,
            deadline_s=None,
            options={},
        )
        place = Place(self.ledger.recipe, layer, position, role, agent.model)
        elapsed_s = asyncio.get_running_loop().time() - self.started
        return AgentCall(
            self.runtime, place, request, lambda shown: self.prompt(agent, shown, messages), references, elapsed_s
        )

    async def whole(self, call: AgentCall, agent: Agent, on_text: Callable[[str], None] | None = None) -> Completion:
        """The whole answer of `call`, within the deadlines of agent, policy and request. See `AgentCall.whole`."""
        own_s = agent.deadline_s or self.policy.proposer_deadline_s
        return await call.whole(
            deadline_s=min(own_s, self.remaining_s()),
            retries=self.policy.retries,
            hedge_quantile=self.policy.hedge_quantile if self.policy.hedge else None,
            on_text=on_text,
        )

    def record(self, call: AgentCall) -> None:
        """Put `call`, as it stands now, into the ledger and before the observer."""
        trace = call.trace()
        self.ledger.add(trace)
        self.runtime.observer.agent_ended(self.ledger.recipe, trace)

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task without waiting for it here; `close` does."""
        if not task.done():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Return when all cancelled work has ended in every engine."""
        while self._ending:
            await asyncio.wait(self._ending)

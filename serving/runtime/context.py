"""Calls of one run: their ids, priorities, sampling and deadlines, and the record that is kept of them."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from serving.conversation import Thinking, ToolChoice
from serving.decoding import PLAIN_DECODING
from serving.images import without_images
from serving.references import ReferenceBlock
from serving.runtime.advice_prompt import as_prose, without_reasoning
from serving.runtime.agent_span import AgentSpan
from serving.runtime.agents import Agent
from serving.runtime.call import PROPOSAL_STREAM_INTERVAL, AgentCall
from serving.runtime.events import RunEvents, WatchedCall
from serving.runtime.fair_queue import PRIORITIES_PER_REQUEST
from serving.runtime.policy import Policy
from serving.runtime.prompts import has_tool_turns_or_reasoning, prompt_end, with_system
from serving.runtime.report import ReportBuilder
from serving.runtime.shared_state import Runtime
from serving.runtime.task import Task
from serving.telemetry import CallObserver, call_ended
from serving.types import Completion, Delta, GenerateRequest, MoaOptions, Sampling


@dataclass
class RunContext:
    """Makes the calls of one request; recipes reach it through `Run` only."""

    request: GenerateRequest
    policy: Policy
    runtime: Runtime
    report: ReportBuilder
    events: RunEvents | None = None  # None: nobody watches
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    layers: int = 0  # begun so far
    ends: float = math.inf  # loop time at which the whole request must have ended; a delegate keeps it
    _ending: set[asyncio.Task[None]] = field(default_factory=set)
    _traced: list[AgentCall] = field(default_factory=list)  # calls that have spans

    def __post_init__(self) -> None:
        """A policy and the caller of this engine may shorten the time that is left, never lengthen it."""
        given_s = min(self.policy.deadline_s, self.request.deadline_s or self.policy.deadline_s)
        self.ends = min(self.ends, self.started + given_s)

    def next_layer(self) -> int:
        """Number of a new layer; they count from 1."""
        self.layers += 1
        return self.layers

    @property
    def deadline_s(self) -> float:
        """Deadline of the whole request: the shortest one of its recipes and of the caller of this engine."""
        return self.ends - self.started

    @property
    def answer_begins(self) -> float:
        """Loop time at which the final agent must begin: the last `answer_share` of the deadline is kept for it."""
        return self.ends - self.policy.answer_share * self.deadline_s

    def step_ends(self, steps: int) -> float:
        """Loop time at which the step that begins now ends; it has `steps` steps before the answer, itself included.

        They divide the time before the answer equally, so that a step leaves to later ones what it does not use. 0
        steps: it is the answer's own, and may take all the time.
        """
        if steps <= 0:
            return self.ends
        return asyncio.get_running_loop().time() + self.remaining_s(self.answer_begins) / steps

    def remaining_s(self, until: float = math.inf) -> float:
        """Seconds until the deadline of the whole request, or the loop time `until` if that is earlier."""
        return max(min(self.ends, until) - asyncio.get_running_loop().time(), 0.0)

    @property
    def drafting(self) -> bool:
        """True if proposers that support tools have the request's tools."""
        return self.policy.tools == "vote" and self.request.may_call_tools

    def supports_tools(self, agent: Agent) -> bool:
        """True if the agent's engine accepts tools and returns calls."""
        return self.runtime.engines[agent.model].info.tools

    # -- calls -----------------------------------------------------------------------------------------------

    def calls(
        self, agents: Mapping[int, Agent], task: Task, *, layer: int, seed_shift: int = 0, separate: bool = False
    ) -> list[AgentCall]:
        """The calls of a layer in which each of `agents`, by slot, does `task`; nothing has started yet.

        Identical agents that sample become one call with n answers. Greedy ones stay apart, and are shared in flight.
        An engine that returns one choice per call is called once per agent, with seeds set apart: one seed for all
        would make their answers one answer. `seed_shift` sets all seeds apart from those of other calls of the layer.
        `separate`: each agent is called by itself in any case, so that its text can be read while it is written.
        """
        slots_of: dict[Agent, list[int]] = {}
        for slot, agent in agents.items():
            slots_of.setdefault(agent, []).append(slot)
        calls: list[AgentCall] = []
        for agent, slots in slots_of.items():
            drafts = task.drafts and self.supports_tools(agent)
            sampling = self.proposer_sampling(agent, as_answer=task.as_answer or drafts)
            if sampling.temperature != 0:
                sampling = _reseeded(sampling, seed_shift)
            # A choice of a call cannot be stopped alone.
            one_by_one = (
                separate or task.confidence is not None or "n" in self.runtime.engines[agent.model].info.unsupported
            )
            if task.confidence is not None:
                sampling = replace(sampling, logprobs=task.confidence.alternatives)
            if sampling.temperature != 0 and not one_by_one:
                whole = replace(sampling, n=len(slots))
                calls.append(self.call(agent, task, layer=layer, slots=tuple(slots), sampling=whole))
                continue
            for shift, slot in enumerate(slots):
                apart = _reseeded(sampling, shift if sampling.temperature != 0 else 0)
                calls.append(self.call(agent, task, layer=layer, slots=(slot,), sampling=apart))
        return calls

    def call(
        self,
        agent: Agent,
        task: Task,
        *,
        layer: int,
        sampling: Sampling,
        slots: tuple[int, ...] = (0,),
        role: str = "proposer",
        final: bool = False,
    ) -> AgentCall:
        """One call that has not started; `role` is used if the task names none. `final`: see `prompted`."""
        request = replace(
            self.prompted(agent, task, final=final),
            request_id=f"{self.request.request_id}-{layer}-{slots[0]}",
            session=self.session(layer),
            sampling=sampling,
            # Later layers first: a request that has begun should end. A first layer ranks with plain model requests.
            priority=self.request.priority * PRIORITIES_PER_REQUEST - min(layer, PRIORITIES_PER_REQUEST) + 1,
        )
        elapsed_s = asyncio.get_running_loop().time() - self.started
        role = task.role or role
        events = WatchedCall(self.events, layer, slots, agent.model, role) if self.events else CallObserver()
        call = AgentCall(
            self.runtime, self.report.recipe, layer, slots, role, agent.model, request, elapsed_s, events=events
        )
        if self.runtime.tracer is not None and request.trace is not None and request.trace.sampled:
            call.span = AgentSpan(self.runtime.tracer, request.trace, call.recipe, layer, slots, role, agent.model)
            self._traced.append(call)
        return call

    def final_call(self, agent: Agent, task: Task, layer: int, position: int) -> AgentCall:
        """Call of the final agent, or of the fallback at `position`."""
        sampling = self.answer_sampling(agent)
        call = self.call(agent, task, layer=layer, slots=(position,), sampling=sampling, role="aggregator", final=True)
        if call.request.stream_interval is None:  # what is written when the time is over is the answer
            call.request = replace(call.request, stream_interval=PROPOSAL_STREAM_INTERVAL)
        if position and not call.engine.info.thinking:  # it would refuse what the first agent accepts
            call.request = replace(call.request, thinking=Thinking())
        return call

    def prompted(self, agent: Agent, task: Task, *, final: bool = False) -> GenerateRequest:
        """The request with the prompt that `agent` reads: the conversation, its own system text, the references.

        The final agent alone has the request's template arguments and, if its engine supports tools, the tools; it then
        reads tool turns and reasoning as they are. Agents that draft have the tools too, and read tool turns without
        reasoning. All others read `as_prose`. Images reach the models that see; the others read `[image]`.
        """
        messages, begun, end = prompt_end(self.request, task.messages, answers=final or task.as_answer)
        block = self._block(task)
        acting = (final or task.drafts) and self.supports_tools(agent)
        if not (acting and final) and has_tool_turns_or_reasoning(messages):
            messages = without_reasoning(messages) if acting else as_prose(messages)
        if any(message.images for message in messages) and not self.runtime.engines[agent.model].info.sees:
            messages = without_images(messages)
        request = replace(
            self.request,
            messages=(*with_system(messages, agent.system), *begun),
            prompt_end=end,
            references=block,
            thinking=self.answer_thinking(agent) if final else self.proposer_thinking(agent),
            deadline_s=None,
            moa=MoaOptions(),
        )
        if not acting:
            request = replace(request, tools=(), tool_choice=ToolChoice(), parallel_tool_calls=True)
        return request if final else replace(request, template_args={}, running_usage=None)

    def session(self, layer: int) -> str | None:
        """Session of the calls in a layer. Later layers have one in any case: they go where their prefill went."""
        prefilled = layer > 1 and self.policy.prefill != "off"
        return self.request.session or (self.request.request_id if prefilled else None)

    def _block(self, task: Task) -> ReferenceBlock | None:
        """References as the prompt has them: their text alone."""
        if not task.references:
            return None
        texts = tuple(one if one.draft is None else replace(one, draft=None) for one in task.references)
        return ReferenceBlock(texts, self.policy.prompt, self.policy.layout, task.numbers)

    def answer_thinking(self, agent: Agent) -> Thinking:
        """Thinking of the final agent: the request's if it asks for any, else the agent's, else the model's own."""
        asked = self.request.thinking
        return asked if asked != Thinking() else self._own_thinking(agent, Thinking())

    def proposer_thinking(self, agent: Agent) -> Thinking:
        """Thinking of a proposer: the agent's, else off."""
        return self._own_thinking(agent, Thinking(enabled=False))

    def _own_thinking(self, agent: Agent, default: Thinking) -> Thinking:
        """The agent's thinking, or `default`; nothing for an engine that cannot switch it."""
        if not self.runtime.engines[agent.model].info.thinking:
            return Thinking()
        return default if agent.thinking is None else agent.thinking.value

    def proposer_sampling(
        self, agent: Agent, overrides: Mapping[str, Any] | None = None, *, as_answer: bool = False
    ) -> Sampling:
        """Sampling of a proposer: its own settings come first.

        Of the temperature the request's value comes next, then the recipe's; of the token limit it is the reverse.
        Parameters that shape the final answer only (`stop`, `response_format`, `decoding`, `logprobs`, `n`) do not
        reach proposers, and neither does the request's `max_tokens` if the agent or the recipe sets one. With
        `as_answer` the caller's `stop`, `response_format`, `decoding` and `max_tokens` hold too.
        """
        policy, asked = self.policy, self.request.sampling
        limit: int | None = _first(agent.max_tokens, policy.proposal_max_tokens, asked.max_tokens)
        if as_answer:
            limit = min((n for n in (limit, asked.max_tokens) if n is not None), default=None)
        sampling = replace(
            asked,
            temperature=_first(agent.temperature, asked.temperature, policy.temperature),
            top_p=_first(agent.top_p, asked.top_p),
            max_tokens=limit,
            min_tokens=asked.min_tokens if limit is None else min(asked.min_tokens, limit),
            stop=asked.stop if as_answer else (),
            response_format=asked.response_format if as_answer else None,
            decoding=asked.decoding if as_answer else PLAIN_DECODING,
            logprobs=None,
            n=1,
        )
        return replace(sampling, **(overrides or {}))

    def answer_sampling(self, agent: Agent, overrides: Mapping[str, Any] | None = None) -> Sampling:
        """Sampling of the final agent; the caller's own settings come first."""
        asked, cap = self.request.sampling, self.request.token_cap
        limit: int | None = _first(asked.max_tokens, agent.max_tokens)
        if limit is not None and cap is not None:
            limit = min(limit, cap)  # the operator's limit was computed with every answer at `token_cap`
        sampling = replace(
            asked,
            temperature=_first(asked.temperature, agent.temperature, self.policy.temperature),
            top_p=_first(asked.top_p, agent.top_p),
            max_tokens=limit,
            min_tokens=asked.min_tokens if limit is None else min(asked.min_tokens, limit),
        )
        return replace(sampling, **(overrides or {}))

    # -- running them ----------------------------------------------------------------------------------------

    async def whole(
        self,
        call: AgentCall,
        agent: Agent,
        on_text: Callable[[str], None] | None = None,
        *,
        until: float = math.inf,
        watch: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """Whole answer of `call`, within the deadlines of agent, policy and request, and before the loop time `until`.

        Raises like `AgentCall.whole`.
        """
        own_s = agent.deadline_s or self.policy.proposer_deadline_s
        return await call.whole(
            deadline_s=min(own_s, self.remaining_s(until)),
            retries=self.policy.retries,
            hedge_quantile=self.policy.hedge_quantile if self.policy.hedge else None,
            on_text=on_text,
            watch=watch,
        )

    def record(
        self, call: AgentCall, completion: Completion | None = None, instead: Mapping[int, Agent] = MappingProxyType({})
    ) -> None:
        """Report `call`: its choices, or the state it has reached. `instead`: the agents that take its slots."""
        traces = call.traces(completion)
        if call.span is not None:
            call.span.recorded(traces)
        for trace in traces:
            substitute = instead[trace.agent].model if trace.agent in instead else None
            self.report.add(trace, substitute)
            if self.events is not None:
                self.events.agent_finished(trace, substitute)
            self.runtime.observer.agent_ended(self.report.recipe, trace)
            call_ended(trace)

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task without waiting for it; `close` waits."""
        if not task.done():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Return when all cancelled work has ended in every engine."""
        while self._ending:
            await asyncio.wait(self._ending)
        for call in self._traced:
            if call.span is not None:
                call.span.close(call.traces())


def _reseeded(sampling: Sampling, shift: int) -> Sampling:
    seed = sampling.seed if sampling.seed is None or not shift else (sampling.seed + shift) % 2**63
    return replace(sampling, seed=seed)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)

"""Questions outside of layers: the whole answer of one agent, and the opinions of a judge."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from serving.conversation import Message
from serving.errors import MoaError
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.task import Task
from serving.types import Completion


async def whole_answer(
    context: RunContext, agent: Agent, task: Task, sampling: Mapping[str, Any] | None, *, acts: bool, until: float
) -> Completion:
    """Whole answer of one agent. Raises `MoaError`.

    Args:
        context: the run.
        agent: the agent.
        task: the question; with `as_answer` it is sampled like the final agent's.
        sampling: changes of the sampling.
        acts: with `as_answer` the agent has the request's tools, and reads tool turns as they are.
        until: loop time at which the agent is late.
    """
    if not task.as_answer:
        chosen = context.proposer_sampling(agent, sampling)
        call = context.call(agent, task, layer=context.next_layer(), sampling=chosen)
        return await _asked(context, call, agent, until)
    chosen = context.answer_sampling(agent, sampling)
    call = context.call(agent, task, layer=context.next_layer(), sampling=chosen, final=acts)
    call.request = replace(call.request, thinking=context.answer_thinking(agent))
    return await _asked(context, call, agent, until)


async def opinions(
    context: RunContext,
    agent: Agent,
    questions: Sequence[Sequence[Message]],
    role: str,
    sampling: Mapping[str, Any] | None,
    until: float,
) -> list[str]:
    """Opinions of one agent, all asked at once; "" where it gave none before `until`, which degrades the answer."""
    layer = context.next_layer()
    chosen = context.proposer_sampling(agent, sampling)

    async def opinion(position: int, asked: Sequence[Message]) -> str:
        task = Task(messages=tuple(asked), role=role)
        call = context.call(agent, task, layer=layer, slots=(position,), sampling=chosen)
        try:
            return (await _asked(context, call, agent, until)).text
        except MoaError:
            return ""  # in the report

    # A group, so that none continues after a defect in another or after cancellation.
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(opinion(*place)) for place in enumerate(questions)]
    return [task.result() for task in asked]


async def _asked(context: RunContext, call: AgentCall, agent: Agent, until: float) -> Completion:
    completion: Completion | None = None
    try:
        completion = await context.whole(call, agent, until=until)
        return completion
    finally:
        context.record(call, completion)

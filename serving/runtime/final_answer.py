"""The final answer of a run: the agent that writes it, those that can replace it, and what is returned without them."""

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from serving.decoding import PLAIN_DECODING
from serving.errors import ContextTooLong, DeadlineExceeded, InvalidRequest, MoaError
from serving.references import Reference, References
from serving.runtime.agents import Agent
from serving.runtime.answers import delta_of, first_valid
from serving.runtime.context import RunContext
from serving.runtime.emptiness import ended_by_itself
from serving.runtime.next_turn import prefill_next_turn
from serving.runtime.reasons import CUT, EARLIER_RETURNED, EMPTY_ANSWER, PROPOSAL_RETURNED
from serving.runtime.task import Task
from serving.types import Delta


async def final_answer(
    context: RunContext, agent: Agent, task: Task, fallbacks: Sequence[Agent], spare: References
) -> AsyncGenerator[Delta, None]:
    """Stream of the answer of `agent`, or what takes its place; see `serving.runtime.run.Run.answer`, also for errors.

    Args:
        context: the run.
        agent: the final agent.
        task: with all references that it reads.
        fallbacks: agents that replace it, in order.
        spare: earlier answers, which are returned if there are no references.
    """
    request, streaming = context.request, context.request.streaming
    layer = context.next_layer()
    failures: list[MoaError] = []
    if request.may_call_tools:
        fallbacks = [other for other in fallbacks if context.supports_tools(other)]
    decoding = request.sampling.decoding
    if decoding != PLAIN_DECODING and decoding.token_id_field is not None:
        fallbacks = [other for other in fallbacks if other.model == agent.model]
    held: list[Delta] = []  # of a whole answer, of which nothing was sent until its end
    for position, candidate in enumerate((agent, *fallbacks)):
        call = context.final_call(candidate, task, layer, position)
        visible = False
        held.clear()
        try:
            async with aclosing(
                call.stream(
                    deadline_s=min(candidate.deadline_s or math.inf, context.remaining_s()),
                    first_token_deadline_s=candidate.first_token_deadline_s or context.policy.first_token_deadline_s,
                )
            ) as stream:
                async for delta in stream:
                    visible = streaming
                    if delta.terminal:
                        context.record(call)  # before the terminal delta, which carries the report
                        context.report.answered_by(call.usage)
                        if call.tool_calls:
                            prefill_next_turn(context, call)
                        if not call.written and ended_by_itself(delta, request.sampling):
                            context.report.note(EMPTY_ANSWER())
                    if streaming:
                        yield delta
                    else:
                        held.append(delta)
            for delta in held:
                yield delta
            return
        except MoaError as error:
            if visible and isinstance(error, DeadlineExceeded):
                break  # no fallback: the caller has read a part of this answer
            if visible or (isinstance(error, InvalidRequest) and not isinstance(error, ContextTooLong)):
                raise
            failures.append(error)
            if context.remaining_s() <= 0:
                break
        finally:
            if call.status != "ok":
                context.record(call)
    proposal = first_valid(task.references, request)
    valid = proposal or first_valid(spare, request)
    if valid is None and failures and isinstance(failures[-1], DeadlineExceeded):
        for delta in held:
            yield delta
        visible = visible or bool(held)
    if visible and (call.written or valid is None):
        context.report.degrade(CUT())
        context.report.answered_by(None)
        yield Delta(finish_reason="length", usage=context.report.usage)
        return
    # An agent that has only reasoned is followed by the proposal: what it thought is no answer.
    if valid is None or (not visible and all(isinstance(error, ContextTooLong) for error in failures)):
        if context.remaining_s() <= 0:
            raise DeadlineExceeded(f"'{context.report.recipe}'", context.deadline_s)
        raise failures[0]
    context.report.degrade(PROPOSAL_RETURNED() if proposal else EARLIER_RETURNED())
    yield known_answer(context, valid)


def known_answer(context: RunContext, reference: Reference) -> Delta:
    """A proposal as the answer; its usage is that of the call that wrote it."""
    context.report.answered_by(reference.usage)
    return delta_of(reference, context.report.usage)

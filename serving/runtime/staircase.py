"""Staircase streaming (arXiv 2510.05059): the final agent writes while the proposals grow.

The final agent is asked as soon as the proposals have their first chunks. It writes a chunk of its answer, reads what
the proposals have got meanwhile, and continues its own message; once all proposals have ended it writes the rest. Each
chunk is a call of its own, whose prompt ends with the answer so far.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from serving.conversation import Message, Thinking
from serving.errors import ContextTooLong, DeadlineExceeded, InvalidRequest, MoaError
from serving.references import References
from serving.runtime.agents import Agent
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.emptiness import ended_by_itself
from serving.runtime.growing import CHARACTERS_PER_TOKEN, GrowingProposals, Parts
from serving.runtime.prefill import LayerPrefill
from serving.runtime.proposals import Proposals
from serving.runtime.reasons import CUT, EMPTY_ANSWER, TOO_FEW_WENT_ON
from serving.runtime.stop_strings import StopStrings
from serving.runtime.task import Task
from serving.types import Delta, GenerateRequest
from serving.usage import UNKNOWN_USAGE, TokenUsage

LEAST_S = 0.01  # less is no time for another call
SEED_SHIFT = 2**20  # between the calls of one answer: with one seed each chunk would draw the same numbers


@dataclass(frozen=True, slots=True)
class Chunks:
    """Sizes of the chunks of proposals and answer."""

    first_tokens: int  # of each proposal, before the final agent begins
    tokens: int  # of the answer per call, and of each proposal before the next call
    most: int  # calls before all proposals have ended
    grace_s: float  # wait for the chunks of the other proposals, once there are `min_proposals`
    parts: Parts


class ChunkedAnswer:
    """The text of the final agent, one call per chunk.

    Attributes:
        text: what was written so far.
        end: the answer's last delta, once it has ended, without usage.
        failed: no agent could write, and the caller has seen nothing.
        usage: of all calls that have ended.
    """

    def __init__(self, context: RunContext, agents: Sequence[Agent]) -> None:
        """Write nothing yet; the first of `agents` begins, and each next one continues where the one before failed."""
        self._context, self._agents = context, [*agents]
        self._layer: int | None = None
        self._calls = 0
        self._tokens = 0
        self._cut = False
        sampling = context.request.sampling
        self._stops = StopStrings(sampling.stop, included=sampling.decoding.include_stop_str_in_output)
        self.text = ""
        self.end: Delta | None = None
        self.failed = False
        self.usage = TokenUsage()

    @property
    def begun(self) -> bool:
        """True if there is visible text."""
        return bool(self.text.strip())

    @property
    def over(self) -> bool:
        """True if no further chunk can be written."""
        return self.failed or self.end is not None

    @property
    def answer_usage(self) -> TokenUsage | None:
        """Usage of the answer's calls; None if the last of them was cut off, so that its tokens are not known."""
        return None if self._cut else self.usage

    async def write(self, task: Task, limit: int | None) -> AsyncGenerator[Delta, None]:
        """Deltas of the next chunk, of at most `limit` tokens; None: to the end. The last delta of all is `end`.

        An agent that fails is replaced by the next one, which continues the text. If there is none, `failed` is set if
        the caller has seen nothing.

        Raises:
            InvalidRequest: the request itself is at fault.
            MoaError: the last agent failed, and the caller has read a part of its text.
        """
        context = self._context
        if self._layer is None:
            self._layer = context.next_layer()
        while True:
            agent = self._agents[0]
            call, room = self._call(agent, task, limit)
            running: TokenUsage | None = None
            so_far: TokenUsage | None = None
            text = rest = ""
            try:
                async with aclosing(
                    call.stream(
                        deadline_s=min(agent.deadline_s or math.inf, context.remaining_s()),
                        first_token_deadline_s=agent.first_token_deadline_s or context.policy.first_token_deadline_s,
                    )
                ) as stream:
                    async for delta in stream:
                        running = delta.running_usage or delta.usage or running
                        text += delta.text
                        self.text += delta.text
                        shown, stop = self._stops.add(delta.text)
                        if stop is not None and delta.stop is None:
                            self.end = replace(
                                delta, text=shown, finish_reason="stop", usage=None, running_usage=None, stop=stop
                            )
                            break
                        if delta.terminal:
                            so_far = self._running(replace(delta, running_usage=delta.usage))
                            rest = self._ended(call, delta, shown, limit, room)
                        elif shown or delta.reasoning:
                            yield replace(delta, text=shown, running_usage=self._running(delta))
                if self.end is not None and self.end.stop is not None and call.finish_reason != "stop":
                    self._stopped(call, running)
                if rest:
                    yield Delta(rest, running_usage=so_far)
                return
            except MoaError as error:
                used = running.completion_tokens if running is not None else None
                self._tokens += len(text) // CHARACTERS_PER_TOKEN if used is None else used
                if self._is_over(call, error):
                    return
                self._agents.pop(0)
            finally:
                context.record(call)

    # -- one call --------------------------------------------------------------------------------------------

    def _call(self, agent: Agent, task: Task, limit: int | None) -> tuple[AgentCall, int | None]:
        """The call that writes the next chunk, and the tokens that the whole answer may still have. None: no limit."""
        assert self._layer is not None
        call = self._context.final_call(agent, task, self._layer, self._calls)
        request, sampling = call.request, call.request.sampling
        if self.text:
            request = _continued(request, self.text)
        rooms = [most - self._tokens for most in (sampling.max_tokens, request.token_cap) if most is not None]
        room = max(min(rooms), 1) if rooms else None
        most_tokens = sampling.max_tokens if limit is None else limit
        if limit is None and sampling.max_tokens is None:
            request = replace(request, token_cap=room)
        elif room is not None and most_tokens is not None:
            most_tokens = min(most_tokens, room)
        min_tokens = max(sampling.min_tokens - self._tokens, 0)
        seed = sampling.seed
        if seed is not None and self._calls and sampling.temperature != 0:
            seed = (seed + self._calls * SEED_SHIFT) % 2**63
        sampling = replace(
            sampling,
            max_tokens=most_tokens,
            min_tokens=min_tokens if most_tokens is None else min(min_tokens, most_tokens),
            seed=seed,
        )
        call.request = replace(
            request,
            sampling=sampling,
            thinking=Thinking(enabled=False) if call.engine.info.thinking else Thinking(),
            session=request.session or self._context.request.request_id,  # all go where the first one's cache is
            running_usage="answer",  # a call that is cut off, or ended by a stop string, has a count
        )
        self._calls += 1
        return call, room

    def _ended(self, call: AgentCall, terminal: Delta, shown: str, limit: int | None, room: int | None) -> str:
        """Note the end of a call: of the chunk, whose last text is returned, or of the answer (`end`)."""
        usage = terminal.usage or UNKNOWN_USAGE
        used = usage.completion_tokens
        if used is None:
            used = call.request.sampling.max_tokens or 0
        self._tokens += used
        self.usage += usage
        exhausted = limit is None or used < limit or (room is not None and used >= room)
        if terminal.finish_reason == "length" and not exhausted:
            return shown
        if limit is not None and not self.begun and ended_by_itself(terminal, self._context.request.sampling):
            self.failed = True  # nothing to say about the first chunks: asked again when all is known
        else:
            self.end = replace(terminal, text=shown + self._stops.rest(), usage=None, running_usage=None)
        return ""

    def _stopped(self, call: AgentCall, running: TokenUsage | None) -> None:
        """Note that a stop string, which began in an earlier call, ended the answer within this one."""
        call.ended = asyncio.get_running_loop().time()
        call.status, call.finish_reason, call.usage = "ok", "stop", running or UNKNOWN_USAGE
        self.usage += call.usage

    def _running(self, delta: Delta) -> TokenUsage | None:
        """Usage so far as the caller asked for it; to that of this call the team's is added elsewhere."""
        scope = self._context.request.running_usage
        if scope is None or delta.running_usage is None:
            return None
        return delta.running_usage if scope == "team" else self.usage + delta.running_usage

    def _is_over(self, call: AgentCall, error: MoaError) -> bool:
        """Note what the failure of a call means; False: the next agent continues. Raises `error`, see `write`."""
        visible = self.begun and self._context.request.streaming
        if isinstance(error, ContextTooLong) and self.begun:
            self.end = Delta(self._stops.rest(), finish_reason="length")
            return True
        if call.status == "empty" and self.begun:
            self.end = Delta(self._stops.rest(), finish_reason="stop")
            return True
        if isinstance(error, InvalidRequest) and not isinstance(error, ContextTooLong):
            raise error
        late = self._context.remaining_s() < LEAST_S
        if len(self._agents) > 1 and not late:
            return False
        if visible and isinstance(error, DeadlineExceeded):
            self._context.report.degrade(CUT())
            self._cut = True
            self.end = Delta(self._stops.rest(), finish_reason="length")
            return True
        if visible:
            raise error
        self.failed = True
        return True


def _continued(request: GenerateRequest, text: str) -> GenerateRequest:
    """`request` with an answer that continues `text`, which continues the last message if that is to be continued."""
    if request.prompt_end == "continued":
        *before, last = request.messages
        return replace(request, messages=(*before, replace(last, content=last.content + text)))
    return replace(request, messages=(*request.messages, Message("assistant", text)), prompt_end="continued")


async def staircase_answer(
    context: RunContext,
    agents: Sequence[Agent],
    chunks: Chunks,
    growing: GrowingProposals,
    propose: Callable[[], Coroutine[Any, Any, References]],
    whole: Callable[[References], AsyncGenerator[Delta, None]],
    given: References = (),
    proposers: int = 1,
) -> AsyncGenerator[Delta, None]:
    """Stream of the answer that `agents` write while `propose` runs; see `serving.runtime.run.Run.staircase`.

    Args:
        context: the run.
        agents: the final agent, and those that replace it.
        chunks: their sizes.
        growing: the proposals, which `propose` writes.
        propose: asks the proposers; their proposals.
        whole: stream of the answer from whole proposals, if there were no chunks or no agent could write one.
        given: references from before the proposals.
        proposers: their number.
    """
    streaming = context.request.streaming
    answer = ChunkedAnswer(context, agents)
    prefill = LayerPrefill(context, agents[:1], Proposals(proposers, "declared"), given, context.layers + 1, final=True)
    held: list[Delta] = []  # of a whole answer, of which nothing was sent until its end
    proposing = asyncio.create_task(propose(), name=f"{context.request.request_id}-proposals")
    proposing.add_done_callback(lambda _: growing.close())

    async def write(limit: int | None) -> AsyncGenerator[Delta, None]:
        prefill.cancel()
        references, numbers = growing.take()
        async with aclosing(answer.write(Task(references, numbers=numbers), limit)) as deltas:
            async for delta in deltas:
                if streaming:
                    yield delta
                else:
                    held.append(delta)

    try:
        prefill.update()
        written = 0
        while written < chunks.most and not answer.over:
            if not await growing.chunk(context.policy.min_proposals, chunks.grace_s):
                break
            written += 1
            async with aclosing(write(chunks.tokens)) as deltas:
                async for delta in deltas:
                    yield delta
        if answer.end is None:
            references: References = ()
            try:
                references = await proposing
            except MoaError:
                if not answer.begun or answer.failed:
                    raise
                context.report.degrade(TOO_FEW_WENT_ON())
            if answer.begun and not answer.failed:
                async with aclosing(write(None)) as deltas:
                    async for delta in deltas:
                        yield delta
            if answer.end is None:
                async with aclosing(whole(references)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
        if not proposing.done():  # the report has its proposers, which are not needed any more
            proposing.cancel()
            await asyncio.wait([proposing])
        for delta in held:
            yield delta
        if not answer.begun and ended_by_itself(answer.end, context.request.sampling):
            context.report.note(EMPTY_ANSWER())
        context.report.answered_by(answer.answer_usage)
        yield replace(answer.end, usage=context.report.usage)
    finally:
        prefill.cancel()
        context.cancel(proposing)
        if proposing.done() and not proposing.cancelled():
            proposing.exception()  # retrieved, or asyncio logs it as never retrieved

"""One agent's call: its request, attempts, deadlines, and the traces of how it ended."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from serving.conversation import FinishReason, ToolCall
from serving.engine import ChoiceParts, Engine, add_piece, collect, complete
from serving.errors import DeadlineExceeded, EngineFailed, IncompleteGeneration, MoaError
from serving.failures import engine_failure
from serving.runtime.agent_span import AgentSpan
from serving.runtime.answers import must_call
from serving.runtime.emptiness import is_proposal, stopped_at_once, was_generated
from serving.runtime.hedging import hedged, retried
from serving.runtime.shared_state import Runtime
from serving.telemetry import CallObserver
from serving.types import (
    LOW_CONFIDENCE,
    AgentStatus,
    AgentTrace,
    Choice,
    Completion,
    Delta,
    GenerateRequest,
    Timing,
)
from serving.usage import UNKNOWN_USAGE, TokenUsage

REASONS: dict[AgentStatus, str] = {
    "straggler": "cancelled: exceeded the straggler grace period",
    "empty": "returned an empty answer",
    "cancelled": "cancelled: no longer needed",
    "timeout": "cancelled: the time of its step was over",
}
DOUBTED = "cancelled: its confidence fell below that of the first answers"
ONLY_REASONING = "returned reasoning and no answer"
PROPOSAL_STREAM_INTERVAL = 64  # tokens per delta of a proposal that is prefilled: finer pieces only cost messages
# Tokens per delta of a proposal that may be stopped: so many of each choice are generated, but not counted, at most.
STOPPABLE_STREAM_INTERVAL = 16


@dataclass
class AgentCall:
    """One call of one engine, and the state it has reached; `traces()` describes it at any moment.

    `slots` are the positions in the layer that its choices fill: more than one for identical agents.
    """

    runtime: Runtime
    recipe: str
    layer: int
    slots: tuple[int, ...]
    role: str
    model: str
    request: GenerateRequest
    started_s: float  # after the start of the run
    status: AgentStatus = "cancelled"  # the status of a call that is cut off now
    error: MoaError | None = None
    text: str = ""
    reasoning: str = ""
    usage: TokenUsage = UNKNOWN_USAGE
    timing: Timing = field(default_factory=Timing)
    hedged: bool = False
    shortened: int = 0
    uncounted: int = 0  # attempts beside the one that answered
    doubted: bool = False  # it was stopped because its confidence fell
    finish_reason: FinishReason | None = None  # of a streamed answer that has ended
    choices: dict[int, Choice] = field(default_factory=dict)  # that have ended, of a call with `watch`; by position
    events: CallObserver = field(default_factory=CallObserver)
    span: AgentSpan | None = None  # None: not traced
    text_interval: int = PROPOSAL_STREAM_INTERVAL  # tokens per delta, if its text is read while it is written
    written_tokens: int | None = None  # of the text so far; None: unknown, or `request.running_usage` does not ask
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    ended: float | None = None
    _tool_calls: dict[int, ToolCall] = field(default_factory=dict)  # by index in the stream

    @property
    def engine(self) -> Engine:
        """The engine that answers."""
        return self.runtime.engines[self.model]

    @property
    def kind(self) -> tuple[str, int, str]:
        """Key of calls whose durations are comparable."""
        return (self.recipe, self.layer, self.model)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Tool calls of a streamed answer so far."""
        return tuple(call for _, call in sorted(self._tool_calls.items()))

    @property
    def written(self) -> bool:
        """True if an answer that has ended, or was cut off, has visible text or calls tools."""
        return bool(self.text.strip() or self._tool_calls)

    def traces(self, completion: Completion | None = None) -> list[AgentTrace]:
        """One trace per slot: of the choices of `completion`, or of the call as it stands now."""
        ended = asyncio.get_running_loop().time() if self.ended is None else self.ended
        trace = AgentTrace(
            layer=self.layer,
            agent=self.slots[0],
            role=self.role,
            model=self.model,
            status=self.status,
            text=self.text,
            usage=self.usage,
            started_s=self.started_s,
            elapsed_s=ended - self.began,
            timing=self.timing,
            error=str(self.error) if self.error else DOUBTED if self.doubted else REASONS.get(self.status),
            cause=self.error.code if self.error else LOW_CONFIDENCE if self.doubted else None,
            hedged=self.hedged,
            shortened=self.shortened,
            uncounted=self.uncounted,
            reasoning=self.reasoning,
            tool_calls=self.tool_calls,
            images=self.request.image_count,
            finish_reason=self.finish_reason,
        )
        ended_choices = self.choices if completion is None else dict(enumerate(completion.choices))
        # One call, several answers: its tokens are counted with the first. An unknown count is unknown for each.
        shared = TokenUsage() if self.usage.total_tokens is not None else self.usage
        traces = []
        for position, slot in enumerate(self.slots):
            choice = ended_choices.get(position)
            if choice is None:
                traces.append(replace(trace, agent=slot, usage=shared if position else self.usage))
                continue
            status, error = self._judged(choice)
            traces.append(
                replace(
                    trace,
                    agent=slot,
                    text=choice.text,
                    status=status,
                    error=error,
                    cause=None,
                    reasoning=choice.reasoning,
                    tool_calls=choice.tool_calls,
                    usage=shared if position else self.usage,
                    finish_reason=choice.finish_reason,
                )
            )
        return traces

    def _judged(self, choice: Choice) -> tuple[AgentStatus, str | None]:
        """Status of a choice, and the reason if it is empty."""
        stopped = stopped_at_once(choice, self.request.sampling, self.usage.completion_tokens)
        if stopped or is_proposal(choice, self.request):
            return "ok", None
        return "empty", ONLY_REASONING if choice.reasoning else REASONS["empty"]

    # -- whole answers: proposers, judges ------------------------------------------------------------------

    async def whole(
        self,
        *,
        deadline_s: float,
        retries: int,
        hedge_quantile: float | None,
        on_text: Callable[[str], None] | None,
        watch: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """Whole answer, after retries on lost replicas and, if it is slow, a hedged second attempt.

        Args:
            deadline_s: from now to the end of the last attempt.
            retries: new attempts after `EngineUnavailable`, within the server's `RetryBudget`.
            hedge_quantile: quantile of known durations after which a second attempt starts; None: never.
            on_text: called with the whole text so far, whenever there is more; None: not streamed.
            watch: called with each delta, after `choices` and `usage` have it; None: nobody may stop the call. Greedy
                calls, which equal ones share, have no deltas.

        Raises:
            DeadlineExceeded: no answer within `deadline_s`.
            MoaError: the error of the last attempt.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.runtime.retries.started()
        self.events.started()
        if self.span is not None:
            self.request = self.span.begin(self.request)
        try:
            async with asyncio.timeout(deadline_s):
                completion = await retried(
                    lambda: self._hedged(hedge_quantile, on_text, watch), retries, self._may_retry
                )
        except TimeoutError:
            late = DeadlineExceeded(f"'{self.model}'", deadline_s)
            self._fail(late)
            raise late from None
        except MoaError as error:
            self._fail(error)
            raise
        except Exception as defect:
            failure = engine_failure(self.model, defect)
            self._fail(failure)
            raise failure from None
        finally:
            if self.span is not None:
                self.span.work_ended()
        self.ended = loop.time()
        self.runtime.budget.record(self.kind, self.ended - began)
        self.usage, self.timing, self.shortened = completion.usage, completion.timing, completion.shortened
        return completion

    async def _hedged(
        self, quantile: float | None, on_text: Callable[[str], None] | None, watch: Callable[[Delta], None] | None
    ) -> Completion:
        budget = self.runtime.budget
        budget.started()
        # On the only replica a second attempt would wait behind the first.
        alone = self.engine.info.replicas in (0, 1)
        after_s = None if alone or quantile is None else budget.after_s(self.kind, quantile)
        completion, self.hedged = await hedged(
            lambda number: self._attempt(number, on_text, watch), after_s, self._may_hedge
        )
        return completion

    def _may_hedge(self) -> bool:
        if not self.runtime.budget.take():
            return False
        self.runtime.observer.hedged(self.recipe, self.model)
        self.uncounted += 1
        self.events.hedged()
        return True

    def _may_retry(self) -> bool:
        if not self.runtime.retries.take():
            return False
        self.uncounted += 1
        self.events.retried()
        return True

    async def _attempt(
        self, number: int, on_text: Callable[[str], None] | None, watch: Callable[[Delta], None] | None
    ) -> Completion:
        interval = None if on_text is None else self.text_interval
        if self.events.stream_interval is not None:
            interval = min(self.events.stream_interval, interval or self.events.stream_interval)
        request = replace(self.request, stream_interval=interval)
        alone = request.sampling.temperature != 0 or request.sampling.logprobs is not None
        if watch is not None and (interval is not None or alone):
            finer = min(interval or STOPPABLE_STREAM_INTERVAL, STOPPABLE_STREAM_INTERVAL)
            request, interval = replace(request, stream_interval=finer, running_usage="answer"), finer
        if number > 1:  # an id of its own; shared with nobody, or it would wait for its twin; on any other replica
            again = replace(
                request,
                request_id=f"{request.request_id}-{number}",
                stream_interval=None,
                session=None,
                running_usage=None,
            )
            return await complete(self.model, self.engine, again)
        if interval is None:
            if request.sampling.deterministic:
                return await self.runtime.shared.complete(self.model, self.engine, request)
            return await complete(self.model, self.engine, request)
        return await collect(self.model, self._observed(request, on_text, watch), request.sampling.n)

    async def _observed(
        self,
        request: GenerateRequest,
        on_text: Callable[[str], None] | None,
        watch: Callable[[Delta], None] | None,
    ) -> AsyncGenerator[Delta, None]:
        self.written_tokens = None
        self.text = self.reasoning = ""  # a new attempt starts from nothing, whatever a lost replica had written
        self.choices.clear()
        self.usage = UNKNOWN_USAGE
        parts: dict[int, ChoiceParts] = {}
        async with aclosing(self.engine.generate(request)) as stream:
            async for delta in stream:
                self.events.wrote(delta)
                if len(self.slots) == 1:
                    self.reasoning += delta.reasoning
                    self.text += delta.text
                if delta.running_usage is not None:
                    self.written_tokens = delta.running_usage.completion_tokens
                if on_text is not None and delta.text:
                    on_text(self.text)
                if watch is not None:
                    self.usage = delta.usage or delta.running_usage or self.usage
                    part = parts.setdefault(delta.index, ChoiceParts(self.model))
                    part.add(delta)
                    if part.finish_reason is not None:
                        self.choices[delta.index] = part.choice()
                    watch(delta)
                yield delta

    # -- streamed answers: the final agent -----------------------------------------------------------------

    async def stream(self, *, deadline_s: float, first_token_deadline_s: float) -> AsyncGenerator[Delta, None]:
        """Deltas of the answer as they come. The first one has text, reasoning or a tool call, or is terminal.

        White space before them is held back; reasoning and tool calls are passed on at once. An empty answer is an
        answer, unless nothing was generated (`was_generated`).

        Raises:
            DeadlineExceeded: no sign of life within `first_token_deadline_s`, no end within `deadline_s`.
            EngineFailed: nothing was generated.
            IncompleteGeneration: the engine's stream ended without its terminal delta, or continued after it.
            MoaError: the engine's own error.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.runtime.budget.started()
        self.runtime.retries.started()
        self.events.started(answers=True)
        if self.span is not None:
            self.request = self.span.begin(self.request)
        pieces: list[str] = []
        thoughts: list[str] = []
        held: list[Delta] = []  # white space before the first sign of life
        alive = ended = False
        deadline = began + min(first_token_deadline_s, deadline_s)
        try:
            async with aclosing(self.engine.generate(self.request)) as stream:
                while True:
                    try:
                        async with asyncio.timeout_at(deadline):
                            delta = await anext(stream, None)
                    except TimeoutError:
                        subject = f"'{self.model}'" + ("" if alive else " (first token)")
                        raise DeadlineExceeded(subject, deadline - began) from None
                    if delta is None:
                        if not ended:
                            raise IncompleteGeneration(self.model)
                        return
                    if ended:
                        raise IncompleteGeneration(self.model, "its stream continued after its terminal delta")
                    ended = delta.terminal
                    pieces.append(delta.text)
                    thoughts.append(delta.reasoning)
                    for piece in delta.tool_calls:
                        add_piece(self.model, self._tool_calls, piece)
                    if ended and not self._tool_calls and not any(text.strip() for text in pieces):
                        something = any(pieces) or any(thoughts) or was_generated(delta, self.request.sampling)
                        if must_call(self.request) or not something:
                            self._end(delta, "empty")
                            raise EngineFailed(self.model, "it called no tool" if something else "it generated nothing")
                    held.append(delta)
                    if not alive:
                        if not (delta.tool_calls or delta.text.strip() or delta.reasoning or ended):
                            continue
                        alive, deadline = True, began + deadline_s
                        self.events.first_token()
                    if ended:
                        self._end(delta, "ok")
                        self.text, self.reasoning = "".join(pieces), "".join(thoughts)
                    for ready in held:
                        yield ready
                    held = []
        except MoaError as error:
            if self.status != "empty":
                self._fail(error)
            self.error = error
            raise
        except Exception as defect:
            failure = engine_failure(self.model, defect)
            self._fail(failure)
            raise failure from None
        finally:
            self.text, self.reasoning = "".join(pieces), "".join(thoughts)
            if self.span is not None:
                self.span.work_ended()

    def _end(self, terminal: Delta, status: AgentStatus) -> None:
        self.ended = asyncio.get_running_loop().time()
        self.status, self.shortened, self.finish_reason = status, terminal.shortened, terminal.finish_reason
        self.usage, self.timing = terminal.usage or UNKNOWN_USAGE, terminal.timing or Timing()

    def _fail(self, error: MoaError) -> None:
        self.ended = asyncio.get_running_loop().time()
        self.status = "timeout" if isinstance(error, DeadlineExceeded) else "failed"
        self.choices.clear()
        self.error = error

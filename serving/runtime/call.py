"""One agent's call: its request, second attempts, deadlines, and how it ended."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from serving.engine import Engine, checked, collect, complete
from serving.errors import (
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    MoaError,
)
from serving.runtime.hedging import HedgeBudget
from serving.runtime.prompts import References
from serving.runtime.single_flight import SingleFlight
from serving.runtime.truncation import Build, PromptFitter
from serving.telemetry import Observer
from serving.types import (
    AgentStatus,
    AgentTrace,
    Completion,
    Delta,
    GenerateRequest,
    Timing,
    TokenUsage,
)

WHY: dict[AgentStatus, str] = {
    "straggler": "slower than the others and the grace they give",
    "empty": "its answer is empty",
    "cancelled": "not needed any more",
}
LOST = TokenUsage(None, None, None)
GRAIN_TOKENS = 64  # of a proposal watched to prefill with it: finer pieces would only cost messages


@dataclass
class Runtime:
    """What all runs of one server share."""

    engines: dict[str, Engine]
    observer: Observer = field(default_factory=Observer)
    budget: HedgeBudget = field(default_factory=HedgeBudget)
    shared: SingleFlight = field(default_factory=SingleFlight)
    contexts: Mapping[str, int] = field(default_factory=dict)  # tokens, by model id

    def context_tokens(self, model: str) -> int | None:
        """Of a model; an engine that is not listed may say it itself. `None`: not known."""
        return self.contexts.get(model) or getattr(self.engines[model], "context_tokens", None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call stands in its run."""

    recipe: str
    layer: int
    agent: int
    role: str
    model: str


@dataclass
class AgentCall:
    """One call and what is known of it so far; `trace()` at any moment says how it stands."""

    runtime: Runtime
    place: Place
    request: GenerateRequest  # its messages are built anew by `build`
    build: Build
    references: References
    started_s: float  # after the run's start
    outcome: AgentStatus = "cancelled"  # what a call that is cut off now has come to
    error: MoaError | None = None
    text: str = ""
    usage: TokenUsage = LOST
    timing: Timing = field(default_factory=Timing)
    hedged: bool = False
    shortened: int = 0
    uncounted: int = 0  # attempts that were started beside the one that answered
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    ended: float | None = None

    @property
    def engine(self) -> Engine:
        return self.runtime.engines[self.place.model]

    def fail(self, error: MoaError) -> None:
        self.ended = asyncio.get_running_loop().time()
        self.outcome = "timeout" if isinstance(error, DeadlineExceeded) else "failed"
        self.error = error

    def trace(self) -> AgentTrace:
        place = self.place
        ended = asyncio.get_running_loop().time() if self.ended is None else self.ended
        return AgentTrace(
            layer=place.layer,
            agent=place.agent,
            role=place.role,
            model=place.model,
            outcome=self.outcome,
            text=self.text,
            usage=self.usage,
            started_s=self.started_s,
            elapsed_s=ended - self.began,
            timing=self.timing,
            error=str(self.error) if self.error else WHY.get(self.outcome),
            hedged=self.hedged,
            shortened=self.shortened,
            uncounted=self.uncounted,
        )

    # -- whole answers: proposers, judges ------------------------------------------------------------------

    async def whole(
        self, *, deadline_s: float, retries: int, hedge_quantile: float | None, on_text: Callable[[str], None] | None
    ) -> Completion:
        """The answer, after retries on lost replicas and, when it is slow, a hedged second attempt.

        `watch` is told all of the text so far, whenever there is more.

        Raises:
            DeadlineExceeded: nothing came within `deadline_s`.
            MoaError: what the last attempt raised.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(deadline_s):
                completion = await self._retried(retries, hedge_quantile, on_text)
        except TimeoutError:
            error = DeadlineExceeded(f"'{self.place.model}'", deadline_s)
            self.fail(error)
            raise error from None
        except MoaError as error:
            self.fail(error)
            raise
        self.ended = loop.time()
        self.runtime.budget.record(self._kind, self.ended - began)
        self.usage, self.timing = completion.usage, completion.timing
        return completion

    @property
    def _kind(self) -> tuple[str, int, str]:
        return (self.place.recipe, self.place.layer, self.place.model)

    async def _retried(
        self, retries: int, hedge_quantile: float | None, on_text: Callable[[str], None] | None
    ) -> Completion:
        for left in range(retries, -1, -1):
            try:
                return await self._hedged(hedge_quantile, on_text)
            except EngineUnavailable:
                if not left:
                    raise
                self.uncounted += 1
        raise AssertionError("unreachable")

    async def _hedged(self, quantile: float | None, on_text: Callable[[str], None] | None) -> Completion:
        self.runtime.budget.started()
        # On the only replica a second attempt would stand behind the first.
        alone = getattr(self.engine, "replicas", 2) < 2
        after_s = None if alone or quantile is None else self.runtime.budget.after_s(self._kind, quantile)
        if not after_s:
            return await self._fitted(on_text)
        first = asyncio.ensure_future(self._fitted(on_text))
        attempts, started = {first}, 1
        try:
            await asyncio.wait(attempts, timeout=after_s)
            if not first.done() and self.runtime.budget.take():
                self.runtime.observer.hedged(self.place.recipe, self.place.model)
                attempts.add(asyncio.ensure_future(self._fitted(None, attempt=2)))
                started = 2
            while True:
                done, pending = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
                winner = next((task for task in done if not task.exception()), None)
                if winner is not None or not pending:
                    self.hedged = winner is not None and winner is not first
                    self.uncounted += started - 1
                    return (winner or first).result()
                attempts = pending
        finally:
            for task in attempts:
                task.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)

    async def _fitted(self, on_text: Callable[[str], None] | None, attempt: int = 1) -> Completion:
        request = replace(self.request, stream_interval=None if on_text is None else GRAIN_TOKENS)
        if attempt > 1:  # an id of its own, and no part in its twin's flight
            request = replace(request, request_id=f"{request.request_id}-{attempt}")
        fitting = self._fitting(request)
        while True:
            try:
                if attempt > 1:
                    return await complete(self.place.model, self.engine, fitting.request)
                if on_text is None:
                    return await self.runtime.shared.complete(self.place.model, self.engine, fitting.request)
                return await self._watched(fitting.request, on_text)
            except ContextTooLong as error:
                self._shorten(fitting, error)

    def _fitting(self, request: GenerateRequest) -> PromptFitter:
        return PromptFitter(request, self.build, self.references, self.runtime.context_tokens(self.place.model))

    def _shorten(self, fitting: PromptFitter, error: ContextTooLong) -> None:
        fitting.shorten(error)
        self.shortened = fitting.shortened

    async def _watched(self, request: GenerateRequest, on_text: Callable[[str], None]) -> Completion:
        async def told() -> AsyncGenerator[Delta, None]:
            self.text = ""  # a new attempt begins anew, whatever a lost replica had said
            async with aclosing(self.engine.generate(request)) as stream:
                async for delta in stream:
                    self.text += delta.text
                    on_text(self.text)
                    yield delta

        return await collect(self.place.model, told(), request.sampling.n)

    # -- streamed answers: the final agent -----------------------------------------------------------------

    async def stream(self, *, deadline_s: float, first_token_deadline_s: float) -> AsyncGenerator[Delta, None]:
        """The answer's deltas as they come. The first one has visible text, or is terminal.

        Raises:
            DeadlineExceeded: no visible text within `first_token_deadline_s`, no end within `deadline_s`.
            EngineFailed: the answer is empty.
            MoaError: what the engine raised.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.runtime.budget.started()
        pieces: list[str] = []
        held: list[Delta] = []  # white space before the first visible text
        deadline = began + min(first_token_deadline_s, deadline_s)
        stream = self._stream_fitted()
        try:
            async with aclosing(stream):
                while True:
                    try:
                        async with asyncio.timeout_at(deadline):
                            delta = await anext(stream, None)
                    except TimeoutError:
                        what = f"'{self.place.model}'" + ("" if pieces else " (first token)")
                        raise DeadlineExceeded(what, deadline - began) from None
                    if delta is None:
                        return
                    if not pieces:
                        held.append(delta)
                        if delta.text.strip():
                            deadline = began + deadline_s
                        elif not delta.terminal:
                            continue
                        else:
                            self.usage = delta.usage or LOST
                            self.outcome = "empty"
                            raise EngineFailed(self.place.model, "its answer is empty")
                    else:
                        held = [delta]
                    if delta.terminal:
                        self.usage = delta.usage or LOST
                        self.timing = delta.timing or Timing()
                        self.outcome, self.ended = "ok", loop.time()
                    pieces.extend(ready.text for ready in held)
                    if delta.terminal:
                        self.text = "".join(pieces)
                    for ready in held:
                        yield ready
        except MoaError as error:
            if self.outcome != "empty":
                self.fail(error)
            self.error = error
            raise
        finally:
            self.text = "".join(pieces)

    async def _stream_fitted(self) -> AsyncGenerator[Delta, None]:
        fitting = self._fitting(self.request)
        while True:
            try:
                async with aclosing(checked(self.place.model, self.engine.generate(fitting.request))) as stream:
                    async for delta in stream:
                        yield delta
                return
            except ContextTooLong as error:
                self._shorten(fitting, error)

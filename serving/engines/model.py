"""A single model, as callers ask for it by its own id."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from serving.conversation import ToolCall
from serving.engine import Engine, EngineWrapper, add_piece, delta_of
from serving.images import readable
from serving.runtime.fair_queue import PRIORITIES_PER_REQUEST
from serving.runtime.next_turn import NextTurn
from serving.runtime.report import ReportBuilder
from serving.runtime.shared_state import Runtime
from serving.telemetry import NO_RECIPE
from serving.types import AgentTrace, Delta, GenerateRequest, Report, Timing, Tokens
from serving.usage import UNKNOWN_USAGE


class ModelEngine(EngineWrapper):
    """A model without a recipe. Its requests rank with the first layers of recipes of the same `priority`.

    Whole deterministic answers are computed once for all callers that wait for them. While a client runs the tools that
    an answer calls, the prompt that will follow is prefilled.
    """

    def __init__(self, name: str, engine: Engine, runtime: Runtime, next_turn_prefill_s: float = 0) -> None:
        """Serve `engine` under the id `name`.

        Args:
            name: id of the model.
            engine: the model.
            runtime: state shared with recipes.
            next_turn_prefill_s: maximum time of a prefill of the next turn; 0: there is none.
        """
        super().__init__(name, engine)
        self.runtime = runtime
        self._next_turn = NextTurn(runtime, engine, name, NO_RECIPE, next_turn_prefill_s)

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The engine's own stream if nothing is to be added: a generator around it would cost time with every token.

        With `moa.trace` the terminal delta carries a report. So it does if the request has images that the model cannot
        see: it reads `[image]`, and the answer is degraded. Raises what the engine raises.
        """
        self.runtime.retries.started()
        asked = request.image_count
        request = replace(readable(request, self.info), priority=request.priority * PRIORITIES_PER_REQUEST)
        if request.session is not None:
            self.runtime.session_tasks.cancel(request.session)
        shared = request.sampling.deterministic and not request.streaming
        stream = self._shared(request) if shared else self.engine.generate(request)
        # Of several choices it is not known which one the client will continue.
        if self._next_turn.within_s and request.session and request.may_call_tools and request.sampling.n == 1:
            stream = self._followed(request, stream)
        if request.moa.trace:
            stream = _traced(self.name, stream, request.image_count)
        return _unseen(self.name, stream, asked) if asked and not self.info.sees else stream

    async def count_tokens(self, request: GenerateRequest) -> int:
        return await self.engine.count_tokens(readable(request, self.info))

    async def tokenize(self, request: GenerateRequest, *, texts: bool = False) -> Tokens:
        return await self.engine.tokenize(readable(request, self.info), texts=texts)

    async def _followed(
        self, request: GenerateRequest, stream: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        """`stream`, at whose end the prefill of the next turn starts."""
        answer = _FirstChoice(self.name)
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                answer.add(delta)
                if delta.terminal:
                    self._next_turn.start(request, answer.text, answer.tool_calls)
                yield delta

    async def _shared(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        done = await self.runtime.shared.complete(self.name, self.engine, request)
        yield delta_of(done)  # deterministic sampling has only one choice


class _FirstChoice:
    """The first choice of a stream so far."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, ToolCall] = {}

    def add(self, delta: Delta) -> None:
        """Take one delta into account. Raises `IncompleteGeneration` if the beginning of a tool call is missing."""
        if delta.index == 0:
            self._texts.append(delta.text)
            self._thoughts.append(delta.reasoning)
            for piece in delta.tool_calls:
                add_piece(self._model, self._calls, piece)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        return "".join(self._thoughts)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call for _, call in sorted(self._calls.items()))


async def _unseen(model: str, stream: AsyncGenerator[Delta, None], images: int) -> AsyncGenerator[Delta, None]:
    """`stream` with a report on its terminal delta that the model did not see the request's `images`."""
    builder = ReportBuilder(model)
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            if delta.terminal:
                agents = () if delta.report is None else delta.report.agents
                usage = delta.usage or UNKNOWN_USAGE
                builder.agents = [AgentTrace(layer=1, agent=0, role="model", model=model, status="ok", usage=usage)]
                builder.say_who_saw(images)
                delta = replace(delta, report=replace(builder.report(), agents=agents))
            yield delta


async def _traced(model: str, stream: AsyncGenerator[Delta, None], images: int) -> AsyncGenerator[Delta, None]:
    """`stream` with a report of one layer and one agent on its terminal delta, in the shape that recipes report.

    The report has the text, reasoning and tool calls of the first choice, usage, timing and the number of `images` in
    the prompt.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = _FirstChoice(model)
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            answer.add(delta)
            if delta.usage is not None and delta.report is None:
                agent = AgentTrace(
                    layer=1,
                    agent=0,
                    role="model",
                    model=model,
                    status="ok",
                    text=answer.text,
                    usage=delta.usage,
                    elapsed_s=loop.time() - began,
                    timing=delta.timing or Timing(),
                    reasoning=answer.reasoning,
                    tool_calls=answer.tool_calls,
                    images=images,
                    finish_reason=delta.finish_reason,
                )
                delta = replace(delta, report=Report(model, False, (), (agent,), delta.usage))
            yield delta

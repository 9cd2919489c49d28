"""A single model, as callers ask for it by its own id."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from serving.engine import Engine, EngineWrapper, add_piece
from serving.runtime.context import PRIORITIES_PER_REQUEST
from serving.runtime.single_flight import SingleFlight
from serving.types import AgentTrace, Delta, GenerateRequest, Report, Timing, ToolCall, ToolCallDelta


class ModelEngine(EngineWrapper):
    """A model without a recipe. Its requests rank with the first layers of recipes of the same `priority`.

    Whole deterministic answers are computed once for all callers that wait for them.
    """

    def __init__(self, name: str, engine: Engine, shared: SingleFlight) -> None:
        """Serve `engine` under the id `name`."""
        super().__init__(name, engine)
        self.shared = shared

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The engine's own stream if nothing is to be added: a generator around it would cost time with every token.

        With `moa.trace` the terminal delta carries a report. Raises what the engine raises.
        """
        request = replace(request, priority=request.priority * PRIORITIES_PER_REQUEST)
        shared = request.sampling.deterministic and not request.streaming
        stream = self._shared(request) if shared else self.engine.generate(request)
        return _traced(self.name, stream) if request.moa.trace else stream

    async def _shared(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        done = await self.shared.complete(self.name, self.engine, request)
        [choice] = done.choices  # deterministic sampling has only one
        yield Delta(
            choice.text,
            0,
            choice.logprobs,
            choice.finish_reason,
            done.usage,
            done.timing,
            reasoning=choice.reasoning,
            tool_calls=tuple(
                ToolCallDelta(place, call.id, call.name, call.arguments) for place, call in enumerate(choice.tool_calls)
            ),
        )


async def _traced(model: str, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """`stream` with a report of one layer and one agent on its terminal delta, in the shape that recipes report.

    The report has the text, reasoning and tool calls of the first choice, usage and timing.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    pieces: list[str] = []
    thoughts: list[str] = []
    calls: dict[int, ToolCall] = {}
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            if delta.index == 0:
                pieces.append(delta.text)
                thoughts.append(delta.reasoning)
                for piece in delta.tool_calls:
                    add_piece(model, calls, piece)
            if delta.usage is not None and delta.report is None:
                agent = AgentTrace(
                    layer=1,
                    agent=0,
                    role="model",
                    model=model,
                    status="ok",
                    text="".join(pieces),
                    usage=delta.usage,
                    elapsed_s=loop.time() - began,
                    timing=delta.timing or Timing(),
                    reasoning="".join(thoughts),
                    tool_calls=tuple(call for _, call in sorted(calls.items())),
                )
                delta = replace(delta, report=Report(model, False, (), (agent,)))
            yield delta

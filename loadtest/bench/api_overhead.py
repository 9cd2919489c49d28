"""CPU time of the HTTP API per streamed delta: `python -m loadtest.bench.api_overhead`.

Measured in one process, in memory, without a socket, so that other load on the machine does not count. A trivial
engine streams `--tokens` deltas; its own CPU time is subtracted. The baseline is FastAPI's StreamingResponse over one
pydantic chunk per token.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.engine import Engine
from serving.types import Delta, GenerateRequest, Message, ModelCard, TokenUsage

REPETITIONS = 7  # the fastest counts: the others include noise


class TrivialEngine(Engine):
    """Engine that streams `tokens` equal deltas. `paced`: yields to the event loop after each, as a remote engine."""

    def __init__(self, tokens: int, paced: bool) -> None:
        self.tokens, self.paced = tokens, paced

    async def check_health(self) -> None:
        """Always healthy."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the deltas."""
        for _ in range(self.tokens):
            if self.paced:
                await asyncio.sleep(0)
            yield Delta(" token")
        yield Delta(finish_reason="stop", usage=TokenUsage(1, self.tokens, 0))


def baseline_app(engine: TrivialEngine) -> ASGIApp:
    """Create the baseline: one pydantic chunk per token."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(body: dict[str, Any]) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            async for delta in engine.generate(GenerateRequest("r", (Message("user", ""),))):
                choice = Choice(index=0, delta=ChoiceDelta(content=delta.text), finish_reason=delta.finish_reason)
                chunk = ChatCompletionChunk(
                    id="chatcmpl-1", choices=[choice], created=1, model="m", object="chat.completion.chunk"
                )
                yield f"data: {chunk.model_dump_json(exclude_unset=True)}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


async def call(app: ASGIApp, stream: bool) -> int:
    """Send one request in memory; return the number of body messages, each one write to a socket."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}).encode()
    waiting = [{"type": "http.request", "body": body}]
    writes = 0

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        nonlocal writes
        writes += message["type"] == "http.response.body"

    headers = [(b"content-type", b"application/json")]
    path = "/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}
    await app({**scope, "query_string": b"", "root_path": "", "http_version": "1.1"}, receive, send)
    return writes


async def cpu_s(work: Callable[[], Awaitable[object]]) -> float:
    """Measure the least CPU time of several runs, in seconds."""
    times = []
    for _ in range(REPETITIONS):
        began = time.process_time()
        await work()
        times.append(time.process_time() - began)
    return min(times)


async def measure(tokens: int) -> None:
    """Print the table."""
    print(f"{'deltas':<14}{'endpoint':<24}{'us per delta':>14}{'writes':>8}")
    for paced in (False, True):
        engine = TrivialEngine(tokens, paced)

        async def alone(engine: TrivialEngine = engine) -> None:
            async for _ in engine.generate(GenerateRequest("r", ())):
                pass

        base_s = await cpu_s(alone)
        ours = create_app({"m": engine}, [ModelCard("m", "model")], ApiSettings())
        for name, app, stream in (
            ("this API, streamed", ours, True),
            ("this API, not streamed", ours, False),
            ("FastAPI + pydantic", baseline_app(engine), True),
        ):
            writes = await call(app, stream)
            cost_s = await cpu_s(partial(call, app, stream)) - base_s
            pace = "one by one" if paced else "in a burst"
            print(f"{pace:<14}{name:<24}{cost_s / tokens * 1e6:>14.2f}{writes:>8}", flush=True)
    app = create_app({"m": TrivialEngine(1, False)}, [ModelCard("m", "model")], ApiSettings())
    for name, stream in (("streamed", True), ("not streamed", False)):

        async def many(stream: bool = stream) -> None:
            for _ in range(100):
                await call(app, stream)

        print(f"a request with one delta, {name}: {await cpu_s(many) / 100 * 1e6:.0f} us")


async def profile(tokens: int) -> None:
    """Print the functions with the most CPU time in a paced stream."""
    app = create_app({"m": TrivialEngine(tokens, True)}, [ModelCard("m", "model")], ApiSettings())
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(REPETITIONS):
        await call(app, True)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(15)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.api_overhead", description=__doc__)
    parser.add_argument("--tokens", type=int, default=2000, help="deltas per request; default: 2000")
    parser.add_argument("--profile", action="store_true", help="print a CPU profile of a paced stream instead")
    given = parser.parse_args()
    asyncio.run(profile(given.tokens) if given.profile else measure(given.tokens))


if __name__ == "__main__":
    main()

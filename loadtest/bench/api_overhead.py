"""What the HTTP API itself costs per streamed piece of text: `python -m loadtest.bench.api_overhead`.

CPU time of one process (other load on the machine does not count), in memory, without a socket: an engine that costs
next to nothing streams `--tokens` pieces; what the engine alone costs is taken off. Beside it the usual way to write
such an endpoint: FastAPI's StreamingResponse over one pydantic chunk per token.
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
from serving.types import Delta, GenerateRequest, Message, ModelCard, TokenUsage

REPETITIONS = 7  # the best of them counts: everything else is noise from outside


class Free:
    """Streams `tokens` equal pieces. `paced`: the loop turns after each, as it does when tokens come from elsewhere."""

    def __init__(self, tokens: int, paced: bool) -> None:
        self.tokens, self.paced = tokens, paced

    async def check_health(self) -> None: ...

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        for _ in range(self.tokens):
            if self.paced:
                await asyncio.sleep(0)
            yield Delta(" token")
        yield Delta(finish_reason="stop", usage=TokenUsage(1, self.tokens, 0))


def usual(engine: Free) -> ASGIApp:
    """The endpoint as it is usually written."""
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
    """One request in memory; the number of writes to the socket that it would have been."""
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
    """The least CPU time of several runs, in seconds."""
    times = []
    for _ in range(REPETITIONS):
        began = time.process_time()
        await work()
        times.append(time.process_time() - began)
    return min(times)


async def measure(tokens: int) -> None:
    print(f"{'pieces come':<14}{'endpoint':<22}{'us per piece':>14}{'writes':>8}")
    for paced in (False, True):
        engine = Free(tokens, paced)

        async def alone(engine: Free = engine) -> None:
            async for _ in engine.generate(GenerateRequest("r", ())):
                pass

        base_s = await cpu_s(alone)
        ours = create_app({"m": engine}, [ModelCard("m", "model")], ApiSettings())
        for name, app, stream in (
            ("this API, streamed", ours, True),
            ("this API, whole", ours, False),
            ("FastAPI + pydantic", usual(engine), True),
        ):
            writes = await call(app, stream)
            cost_s = await cpu_s(partial(call, app, stream)) - base_s
            pace = "one by one" if paced else "in a burst"
            print(f"{pace:<14}{name:<22}{cost_s / tokens * 1e6:>14.2f}{writes:>8}", flush=True)
    app = create_app({"m": Free(1, False)}, [ModelCard("m", "model")], ApiSettings())
    for name, stream in (("streamed", True), ("whole", False)):

        async def many(stream: bool = stream) -> None:
            for _ in range(100):
                await call(app, stream)

        print(f"a request with one piece, {name}: {await cpu_s(many) / 100 * 1e6:.0f} us")


async def profile(tokens: int) -> None:
    app = create_app({"m": Free(tokens, True)}, [ModelCard("m", "model")], ApiSettings())
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(REPETITIONS):
        await call(app, True)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(15)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.api_overhead", description=__doc__)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--profile", action="store_true", help="show where the time of a paced stream goes")
    given = parser.parse_args()
    asyncio.run(profile(given.tokens) if given.profile else measure(given.tokens))


if __name__ == "__main__":
    main()

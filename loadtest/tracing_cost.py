"""CPU time of tracing: `python -m loadtest.tracing_cost`.

A recipe over scripted engines answers through the API, in one process, in memory: without tracing; with tracing, a
request that is not recorded; and a request that is recorded and exported to a collector in another process. The three
are measured in turn, `--repetitions` times, and the least time of each counts. The CPU time of the export is included.
The exit code is 1 if `--share` of the requests, recorded, would take over `--most-percent` more CPU time of the API
together than without tracing, or a recorded request over that percentage of the time that its models take.
"""

import asyncio
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from starlette.types import ASGIApp

from loadtest.api_cost import call
from serving.api import ApiSettings, create_app
from serving.command_line import CommandLine, above, at_least
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.tracing.export import exporting_tracer
from serving.tracing.settings import tracing_settings
from serving.tracing.spans import Tracer

TEAM = ("a", "b", "c")
RECIPE = "moa"
SAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
OFF, UNRECORDED, RECORDED = "without tracing", "not recorded", "recorded"


def collect() -> None:
    """Run a collector that keeps nothing; prints its port, and ends with its standard input."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)

        def end() -> None:
            sys.stdin.read()
            server.shutdown()

        threading.Thread(target=end, daemon=True).start()
        server.serve_forever(poll_interval=0.1)


@contextmanager
def collector() -> Iterator[str]:
    """URL of a collector in a process of its own."""
    command = [sys.executable, "-m", "loadtest.tracing_cost", "--collector"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate()


def app_of(tokens: int, tracer: Tracer | None) -> ASGIApp:
    """The API over a recipe of scripted engines that answer at once, with `tokens` tokens each."""
    answer = " ".join(["word"] * tokens)
    models: dict[str, Engine] = {name: ScriptedEngine(name, answer, requests=deque(maxlen=0)) for name in TEAM}
    recipes = load_recipes([RECIPE], {"proposers": TEAM, "aggregator": TEAM[0]})
    orchestrator = Orchestrator(models, recipes, tracer=tracer)
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(), tracer=tracer)


async def ask(app: ASGIApp, *headers: tuple[bytes, bytes]) -> None:
    """Send one streamed request in memory."""
    await call(app, True, *headers, model=RECIPE)


Work = Callable[[], Awaitable[None]]


async def least_ms(
    works: dict[str, Work], repetitions: int, requests: int, flush: Callable[[], object]
) -> dict[str, float]:
    """The least CPU time of a request of each of `works`, which take turns, in milliseconds. `flush` ends each turn."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repetitions):
        for name, work in [*works.items()][:: -1 if turn % 2 else 1]:  # none is always behind the same other
            began = time.process_time()
            for _ in range(requests):
                await work()
            flush()  # the CPU time of the export belongs to the requests
            found[name].append((time.process_time() - began) / requests * 1e3)
    return {name: min(times) for name, times in found.items()}


async def measure(url: str, tokens: int, repetitions: int, requests: int) -> dict[str, float]:
    """Milliseconds of CPU time per request; spans go to the collector at `url`."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    settings = tracing_settings(environment)
    assert settings is not None
    tracer, provider = exporting_tracer(settings)
    plain, traced = app_of(tokens, None), app_of(tokens, tracer)
    works: dict[str, Work] = {
        OFF: lambda: ask(plain),
        UNRECORDED: lambda: ask(traced),
        RECORDED: lambda: ask(traced, SAMPLED),
    }
    try:
        for work in works.values():
            await work()
        return await least_ms(works, repetitions, requests, provider.force_flush)
    finally:
        provider.shutdown()


def main() -> int:
    """Measure and print; return the exit code."""
    parser = CommandLine(prog="python -m loadtest.tracing_cost", description=__doc__)
    add = parser.add_argument
    add("--tokens", type=at_least(1, int), default=128, help="length of each agent's answer")
    add("--repetitions", type=at_least(1, int), default=20, help="of which the fastest counts")
    add("--requests", type=at_least(1, int), default=20, help="per repetition")
    add("--share", type=at_least(0, float, 1), default=0.01, help="share of the requests that are recorded")
    add("--model-s", type=above(0), default=1.0, help="seconds that the models of one request take")
    add("--most-percent", type=above(0), default=2.0, help="percentage that tracing may cost")
    add("--collector", action="store_true", help="run the collector alone")
    given = parser.parse_args()
    if given.collector:
        collect()
        return 0
    with collector() as url:
        found = asyncio.run(measure(url, given.tokens, given.repetitions, given.requests))
    off = found[OFF]
    print(f"CPU time of the API for a request to {RECIPE} (7 agents, {given.tokens} tokens each):")
    for name, cost_ms in found.items():
        print(f"  {name:<16}{cost_ms:8.3f} ms {(cost_ms / off - 1) * 100:+7.1f}%")
    average = (1 - given.share) * found[UNRECORDED] + given.share * found[RECORDED]
    percent = (average / off - 1) * 100
    of_request = (found[RECORDED] - off) / (given.model_s * 10)
    print(f"  {given.share:.0%} of the requests recorded: {average:.3f} ms, {percent:+.1f}%")
    print(f"  a recorded request, of the {given.model_s:g} s that its models take: {of_request:+.2f}%")
    within = max(percent, of_request) <= given.most_percent
    print(f"{'within' if within else 'more than'} {given.most_percent:g}%")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())

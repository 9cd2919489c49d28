"""Demo server: the API over scripted engines, without Ray and without a model: `python -m serving.demo`.

Serves three scripted models and two layered recipes, to try a client and to measure the overhead of the API. With
`--profile` it serves the models and recipes of a profile, all scripted, with the profile's API settings: to try an own
profile or recipe file in a second, without its weights. Ctrl-C and SIGTERM stop it; the exit status is then 0.
"""

import argparse
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.batches.service import Batches
from serving.batches.settings import BatchSettings
from serving.command_line import CommandLine, at_least
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.ports import check_port
from serving.recipes import load_recipes
from serving.store.settings import StoreSettings
from serving.store.store import Store
from serving.tracing.settings import tracing_settings
from serving.tracing.spans import Tracer

MODELS = ("scripted-a", "scripted-b", "scripted-c")
CONTEXT_TOKENS = 32_768
MAX_IN_FLIGHT = 4096


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandLine(prog="python -m serving.demo", description=__doc__)
    add = parser.add_argument
    add("--profile", metavar="NAME|FILE", help="serve this profile, with scripted engines; default: three models")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=at_least(1, int, 65535), default=8000, help="port to listen on")
    add("--tokens", type=at_least(1, int), default=64, help="length of every answer in tokens")
    add("--ttft-s", type=at_least(0), default=0.05, help="seconds to the first token of every model")
    add("--itl-s", type=at_least(0), default=0.01, help="seconds between tokens; 0: as fast as the API accepts them")
    add(
        "--prefill-tokens-per-s",
        type=at_least(1),
        default=float("inf"),
        help="speed of prompts; default: instant",
    )
    add(
        "--batch-slowdown",
        type=at_least(0),
        default=0.0,
        help="share of itl-s that each further running request adds",
    )
    add(
        "--max-in-flight",
        type=at_least(1, int),
        help=f"requests answered at once, beyond which the answer is 429; default: the profile's, or {MAX_IN_FLIGHT}",
    )
    return parser.parse_args(arguments)


def scripted(name: str, given: argparse.Namespace, **options: Any) -> ScriptedEngine:
    """Engine of a model with the timing of the command line. `options`: fields of `ScriptedEngine`."""
    return ScriptedEngine(
        name,
        " ".join(f"{name}-{count}" for count in range(1, given.tokens + 1)),
        ttft_s=given.ttft_s,
        itl_s=given.itl_s,
        prefill_tokens_per_s=given.prefill_tokens_per_s,
        batch_slowdown=given.batch_slowdown,
        requests=deque(maxlen=0),
        **options,
    )


def demo_batches(settings: BatchSettings) -> Batches:
    """Files and batches in a database of the demo's own: it must not answer those of a real server.

    Raises `ConfigError` if its file cannot be written.
    """
    place = StoreSettings(path=str(StoreSettings().file().with_name("demo.sqlite")))
    place.check_file({})
    own = settings.model_copy(update={"files": None})
    return Batches(own, place, Store(place, environment={}), works=True)


def demo_tracer() -> tuple[Tracer | None, Callable[[], None]]:
    """The tracer of the variables `OTEL_*`, and a function that sends its last spans. Raises `ConfigError`."""
    if (settings := tracing_settings(os.environ)) is None:
        return None, lambda: None
    from serving.tracing.export import exporting_tracer  # imports OpenTelemetry's SDK

    tracer, provider = exporting_tracer(settings)
    return tracer, provider.shutdown


def serve(
    app: ASGIApp, given: argparse.Namespace, ids: Sequence[str], at_end: Callable[[], None] = lambda: None
) -> None:
    """Serve until a signal, whose exit status is 0; then call `at_end`. Raises `ConfigError` if the port is taken."""
    check_port(given.host, given.port, "add --port NUMBER")

    def end(*_: object) -> None:
        at_end()
        os._exit(0)

    for number in (signal.SIGINT, signal.SIGTERM):  # before uvicorn takes them; it raises them again at its end
        signal.signal(number, end)
    host = f"[{given.host}]" if ":" in given.host else given.host
    print(f"http://{host}:{given.port}/v1 answers as: {', '.join(ids)}", flush=True)
    print("The answers are scripted words. Ctrl-C stops it.", flush=True)
    uvicorn.run(app, host=given.host, port=given.port, access_log=False, log_level="warning")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; exit with status 1 and one sentence if that is impossible."""
    given = parsed(arguments)
    if given.profile is not None:  # read by `deployments`, which this package does not import
        words = sys.argv[1:] if arguments is None else arguments
        os.execv(sys.executable, [sys.executable, "-m", "deployments.demo", *words])
    recipes = load_recipes(["moa", "moa-lite"], {"proposers": MODELS, "aggregator": MODELS[0]})
    models = {name: scripted(name, given, context_tokens=CONTEXT_TOKENS) for name in MODELS}
    settings = ApiSettings(max_in_flight=given.max_in_flight or MAX_IN_FLIGHT)
    try:
        tracer, send_spans = demo_tracer()
        orchestrator = Orchestrator(models, recipes, tracer=tracer)
        cards = orchestrator.cards()
        batches = demo_batches(BatchSettings())
        app = create_app(orchestrator.engines, cards, settings, store=batches.store, tracer=tracer, batches=batches)
        serve(app, given, [card.id for card in cards], send_spans)
    except ConfigError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()

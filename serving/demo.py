"""Demo server: the API over scripted engines, without Ray and without a model: `python -m serving.demo`.

Serves three scripted models and two layered recipes, to try a client and to measure the overhead of the API.
"""

import argparse
from collections import deque

import uvicorn

from serving.api import ApiSettings, create_app
from serving.command_line import CommandLine
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes

MODELS = ("scripted-a", "scripted-b", "scripted-c")
CONTEXT_TOKENS = 32_768


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandLine(prog="python -m serving.demo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    parser.add_argument("--tokens", type=int, default=64, help="length of every answer in tokens")
    parser.add_argument("--ttft-s", type=float, default=0.05, help="seconds to the first token of every model")
    parser.add_argument(
        "--itl-s", type=float, default=0.01, help="seconds between tokens; 0: as fast as the API accepts them"
    )
    parser.add_argument(
        "--prefill-tokens-per-s", type=float, default=float("inf"), help="speed of prompts; default: instant"
    )
    parser.add_argument(
        "--batch-slowdown", type=float, default=0.0, help="share of itl-s that each further running request adds"
    )
    parser.add_argument("--max-in-flight", type=int, default=4096, help="requests answered at once; beyond it, 429")
    return parser.parse_args()


def main() -> None:
    """Serve until interrupted."""
    given = arguments()
    models = {
        name: ScriptedEngine(
            name,
            " ".join(f"{name}-{count}" for count in range(1, given.tokens + 1)),
            ttft_s=given.ttft_s,
            itl_s=given.itl_s,
            prefill_tokens_per_s=given.prefill_tokens_per_s,
            batch_slowdown=given.batch_slowdown,
            context_tokens=CONTEXT_TOKENS,
            requests=deque(maxlen=0),
        )
        for name in MODELS
    }
    recipes = load_recipes(["moa", "moa-lite"], {"proposers": MODELS, "aggregator": MODELS[0]})
    orchestrator = Orchestrator(models, recipes)
    cards = orchestrator.cards()
    app = create_app(orchestrator.engines, cards, ApiSettings(max_in_flight=given.max_in_flight))
    print(f"http://{given.host}:{given.port}/v1 answers as: {', '.join(card.id for card in cards)}", flush=True)
    uvicorn.run(app, host=given.host, port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()

"""Ask one layer of a recorded run again, with another model, prompt or sampling, and compare answers, tokens and cost.

TRACE is a file: a chat completion that was asked with moa: {trace: true}, an object with its "request" and "response",
the rows.jsonl of `python -m evaluation`, or the trajectories of `python -m training`. The prompts of the layer's agents
are rebuilt by the recipe of the profile, which must be the one that the server had; the models are asked at --url.

  python -m serving.replay answer.json --request request.json --with model=tiny-llama
  python -m serving.replay build/recipes/rows.jsonl --line 12 --layer 1 --with temperature=0
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from serving.command_line import CommandLine, above, at_least

PROG = "python -m serving.replay"


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandLine(prog=PROG, description=__doc__)
    add = parser.add_argument
    add("trace", metavar="TRACE", type=Path, help="file with the recorded answers")
    add("--profile", metavar="NAME|FILE", default="tiny", help="profile of the server that answered")
    add("--recipe", metavar="ID", help="recipe of the answers; default: the one that the trace names")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--request", metavar="FILE", type=Path, help="body of the request, if the trace has none")
    asked.add_argument("--question", metavar="TEXT", help="the request's only message, if the trace has no request")
    add("--line", type=at_least(1, int), action="append", help="line of the file to replay; default: all")
    add("--layer", type=at_least(1, int), help="layer to ask again; default: the last, which writes the answer")
    add("--agent", type=at_least(0, int), help="position of the only agent to ask; default: all of the layer")
    add(
        "--with",
        dest="changed",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="change: model, system (added text), temperature, top_p, max_tokens, seed, or a setting of the recipe that"
        " a request may change, such as layout=paper; default: none, so that only chance differs",
    )
    add("--url", default="http://127.0.0.1:8000/v1", help="OpenAI-compatible server with the models")
    add("--api-key-env", metavar="NAME", help="environment variable with the server's key")
    add("--concurrency", type=at_least(1, int, 256), default=8, help="calls at a time")
    add("--timeout-s", type=above(0), default=120.0, help="maximum time of a call")
    add(
        "--price",
        metavar="MODEL=PROMPT,COMPLETION",
        action="append",
        default=[],
        help="dollars per million tokens of a model; default: those of the profile",
    )
    add("--json", metavar="FILE", type=Path, help="also write the comparison with whole answers to this file")
    return parser.parse_args(arguments)

"""Options of a sweep."""

import argparse
import math

from loadtest.errors import LoadError
from loadtest.results.slo import Slo
from loadtest.sweep.search import Search

START_RATE = 1.0
MOST_RATE = 1000.0
PRECISION = 0.1
GROWING = ("goodput_rps", "requests_per_s", "tokens_per_s", "team_tokens_per_s")  # measures that grow with the rate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="find the highest rate within --slo: a run of --duration at each rate, the first at --rate (default: 1)",
    )
    parser.add_argument(
        "--sweep-max", type=float, help=f"with --sweep: highest rate to try, requests/s; default: {MOST_RATE:g}"
    )
    parser.add_argument(
        "--sweep-precision",
        type=float,
        help=f"with --sweep: ends if the missed rate is at most this share above the met one; default: {PRECISION:g}",
    )


def search_of(arguments: argparse.Namespace, slo: Slo) -> Search | None:
    """Return the search that the options ask for; None without `--sweep`.

    Raises:
        LoadError: an option has no effect or is invalid.
    """
    given = {"--sweep-max": arguments.sweep_max, "--sweep-precision": arguments.sweep_precision}
    if not arguments.sweep:
        if unused := [name for name, value in given.items() if value is not None]:
            raise LoadError(f"{unused[0]} has no effect without --sweep; add --sweep, or leave it out.")
        return None
    if not (slo.request or slo.run):
        raise LoadError("--sweep needs --slo, such as --slo 'answer_ms<=2000': the limits that the rate must meet.")
    for limit in slo.run:
        if limit.measure in GROWING and limit.compare.startswith(">"):
            raise LoadError(f"--sweep cannot use the limit {limit}: low rates miss it, too; leave it out.")
    start = arguments.rate or START_RATE
    most = MOST_RATE if arguments.sweep_max is None else arguments.sweep_max
    precision = PRECISION if arguments.sweep_precision is None else arguments.sweep_precision
    if not (math.isfinite(most) and most >= start):
        raise LoadError(f"--sweep-max must be a number of at least the first rate, {start:g}, not {most:g}.")
    if not 0.01 <= precision <= 1:
        raise LoadError(f"--sweep-precision must be a share from 0.01 to 1, not {precision:g}.")
    return Search(start, most, precision)

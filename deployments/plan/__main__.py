"""Requirements of a profile, computed before a start: `python -m deployments.plan PROFILE [--cost | --objectives]`.

Prints each model's weights, key-value cache and GPUs, each recipe's graph, and the longest prompt of each layer on the
most expensive route through the recipe.
"""

import argparse
import sys
from collections.abc import Sequence

from deployments.config import load_profile
from deployments.plan.cost import report as cost_report
from deployments.plan.objectives import report as objectives_report
from deployments.plan.report import ANSWER_TOKENS, ASKED_TOKENS, report
from serving.errors import ConfigError


def positive(text: str) -> int:
    """Integer above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page; exit with status 1 and one sentence if the profile cannot work."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", help="name of a profile, or path of a YAML file")
    pages = parser.add_mutually_exclusive_group()
    pages.add_argument("--cost", action="store_true", help="print cost and capacity on AWS instead")
    pages.add_argument(
        "--objectives", action="store_true", help="print objectives for the time to the first token instead, by recipe"
    )
    parser.add_argument(
        "--asked-tokens", type=positive, default=ASKED_TOKENS, help="tokens of the caller's conversation (%(default)s)"
    )
    parser.add_argument(
        "--answer-tokens",
        type=positive,
        default=ANSWER_TOKENS,
        help="tokens written by each agent without a limit of its own (%(default)s)",
    )
    chosen = parser.parse_args(arguments)
    try:
        profile = load_profile(chosen.profile)
        page = (
            cost_report(profile)
            if chosen.cost
            else objectives_report(profile)
            if chosen.objectives
            else report(profile, asked_tokens=chosen.asked_tokens, answer_tokens=chosen.answer_tokens)
        )
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    print(page)


if __name__ == "__main__":
    main()

"""Requirements of a profile, computed before a start: `python -m deployments.plan [PROFILE] [--cost | --quotas | ...]`.

Without a profile it plans the one that `make serve` starts on this machine.

Prints each model's weights, key-value cache and GPUs, each recipe's graph, and the longest prompt of each layer on the
most expensive route through the recipe.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deployments.cluster.preflight import default_profile
from deployments.config import Profile, load_profile
from deployments.plan.capacity import Load
from deployments.plan.capacity import report as capacity_report
from deployments.plan.cost import CostOptions
from deployments.plan.cost import report as cost_report
from deployments.plan.cost_picture import picture
from deployments.plan.month import HOURS_PER_DAY
from deployments.plan.objectives import report as objectives_report
from deployments.plan.prices import Prices, load_prices
from deployments.plan.quotas import report as quotas_report
from deployments.plan.report import ANSWER_TOKENS, ASKED_TOKENS, report
from serving.command_line import CommandLine, at_least
from serving.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page; exit with status 1 and one sentence if the profile cannot work."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    with_load = chosen.requests_per_s is not None or chosen.answers_per_month is not None
    _check_options(parser, chosen, with_load=with_load)
    try:
        if chosen.profile is None:
            chosen.profile = default_profile()
            print(f"No profile is named: planning '{chosen.profile}', which `make serve` starts here.", file=sys.stderr)
        profile = load_profile(chosen.profile.removeprefix("profile="))  # as `make serve` is given it
        if with_load:
            page = _capacity_page(profile, chosen)
        elif chosen.cost:
            page = _cost_page(profile, chosen)
        elif chosen.objectives:
            page = objectives_report(profile, _prices(chosen))
        elif chosen.quotas:
            page = quotas_report(profile)
        else:
            page = _plan_page(profile, chosen)
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    print(page)


def _check_options(parser: argparse.ArgumentParser, chosen: argparse.Namespace, *, with_load: bool) -> None:
    """End the program if an option has no effect on the chosen page."""
    load = "--requests-per-s or --answers-per-month"
    for name in ("region", "hours_per_day"):
        if getattr(chosen, name) is not None and not (chosen.cost or with_load):
            parser.error(f"--{name.replace('_', '-')} needs --cost, {load}")
    for name in ("min_0_hours", "budget", "savings_plan", "picture"):
        if getattr(chosen, name) is not None and not chosen.cost:
            parser.error(f"--{name.replace('_', '-')} needs --cost")
    if chosen.recipe is not None and not with_load:
        parser.error(f"--recipe needs {load}")


def _capacity_page(profile: Profile, chosen: argparse.Namespace) -> str:
    options = _cost_options(chosen)
    if chosen.requests_per_s is not None:
        load = Load.of_rate(chosen.requests_per_s, options)
    else:
        load = Load.of_month(chosen.answers_per_month, options)
    return capacity_report(profile, options, load, chosen.recipe)


def _cost_options(chosen: argparse.Namespace) -> CostOptions:
    return CostOptions(
        _prices(chosen),
        hours_per_day=HOURS_PER_DAY if chosen.hours_per_day is None else chosen.hours_per_day,
        min_0_hours=chosen.min_0_hours,
        budget=chosen.budget,
        savings_plan=None if chosen.savings_plan is None else chosen.savings_plan / 100,
    )


def _plan_page(profile: Profile, chosen: argparse.Namespace) -> str:
    return report(
        profile,
        asked_tokens=chosen.asked_tokens or ASKED_TOKENS,
        answer_tokens=chosen.answer_tokens or ANSWER_TOKENS,
    )


def _prices(chosen: argparse.Namespace) -> Prices:
    """Content of prices.yaml with the region and the lengths that were given."""
    prices = load_prices()
    if chosen.region is not None:
        prices = prices.in_region(chosen.region)
    lengths = {"prompt_tokens": chosen.asked_tokens, "answer_tokens": chosen.answer_tokens}
    given = {name: tokens for name, tokens in lengths.items() if tokens is not None}
    return prices.model_copy(update={"assumed": prices.assumed.model_copy(update=given)})


def _cost_page(profile: Profile, chosen: argparse.Namespace) -> str:
    """Return the page of `--cost`, after the picture is written if one is asked for."""
    options = _cost_options(chosen)
    page = cost_report(profile, options)
    if chosen.picture is not None:
        try:
            chosen.picture.write_text(picture(profile, options), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"The picture cannot be written to '{chosen.picture}': {error.strerror}.") from None
    return page


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="python -m deployments.plan", description=__doc__)
    parser.add_argument(
        "profile",
        nargs="?",
        help="name or path of a profile, also as profile=NAME; default: that of `make serve`",
    )
    pages = parser.add_mutually_exclusive_group()
    pages.add_argument("--cost", action="store_true", help="print cost, capacity and latency on AWS instead")
    pages.add_argument("--quotas", action="store_true", help="print the quotas of EC2 that it needs instead")
    pages.add_argument(
        "--objectives", action="store_true", help="print objectives for the time to the first token instead, by recipe"
    )
    pages.add_argument(
        "--requests-per-s",
        type=at_least(1e-6, high=1e6),
        metavar="R",
        help="print replicas, GPUs, nodes and dollars a month for R answers a second on average instead, by recipe",
    )
    pages.add_argument(
        "--answers-per-month", type=at_least(1, high=1e12), metavar="N", help="the same for N answers in a month"
    )
    parser.add_argument(
        "--recipe", metavar="ID", help="with --requests-per-s or --answers-per-month: the only recipe on the page"
    )
    parser.add_argument(
        "--asked-tokens",
        type=at_least(1, int),
        metavar="N",
        help=f"tokens of the caller's conversation ({ASKED_TOKENS}; that of prices.yaml for other pages)",
    )
    parser.add_argument(
        "--answer-tokens",
        type=at_least(1, int),
        metavar="N",
        help=f"tokens of each agent without a limit of its own ({ANSWER_TOKENS}; that of prices.yaml for other pages)",
    )
    cost = parser.add_argument_group("with --cost; the first two also with --requests-per-s or --answers-per-month")
    cost.add_argument("--region", help="AWS region, one of those in deployments/plan/prices.yaml (its `region`)")
    cost.add_argument(
        "--hours-per-day",
        type=at_least(1, high=HOURS_PER_DAY),
        metavar="H",
        help=f"hours a day in which the service is not stopped ({HOURS_PER_DAY})",
    )
    cost.add_argument(
        "--min-0-hours",
        type=at_least(0, high=HOURS_PER_DAY),
        metavar="H",
        help="hours a day in which a model with replicas.min 0 runs a replica (as in prices.yaml)",
    )
    cost.add_argument(
        "--budget", type=at_least(1, high=1e9), metavar="DOLLARS", help="dollars a month (as in prices.yaml)"
    )
    cost.add_argument(
        "--savings-plan",
        type=at_least(0, high=99),
        metavar="PERCENT",
        help="discount of a Savings Plan on the price on demand, as offered to you",
    )
    cost.add_argument("--picture", type=Path, metavar="FILE", help="also draw dollars a month by spot fallback, as SVG")
    return parser


if __name__ == "__main__":
    main()

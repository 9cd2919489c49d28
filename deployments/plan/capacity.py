"""Replicas, nodes and dollars that a load needs: `python -m deployments.plan PROFILE --requests-per-s 2`.

Each replica is planned to be busy for the assumed share of the time (`utilization` in prices.yaml). How long it is busy
with an answer is a roofline estimate, not a measurement.
"""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from deployments.config import Profile
from deployments.model_spec import ModelSpec
from deployments.plan.answer_tokens import AT_BEST, AT_WORST, Call, aggregator, cases_per_answer
from deployments.plan.choice import busy_s, roofline_on
from deployments.plan.cost import CostOptions, family_note
from deployments.plan.month import HOURS_PER_DAY, Hours, Month
from deployments.plan.placement import check_serves, placed
from deployments.plan.prices import Prices
from serving.errors import ConfigError

WIDTH = 118  # columns of the notes
Work = Mapping[str, Sequence[Call]]  # calls of one answer, by model


@dataclass(frozen=True, slots=True)
class Load:
    """Answers of one recipe: a mean rate in the hours in which the service runs, and their number in a month."""

    answers_per_s: float
    answers_per_month: float

    @classmethod
    def of_rate(cls, requests_per_s: float, options: CostOptions) -> "Load":
        """The load of a mean rate."""
        return cls(requests_per_s, requests_per_s * _running_s(options))

    @classmethod
    def of_month(cls, answers: float, options: CostOptions) -> "Load":
        """The load of a number of answers, spread over the hours in which the service runs."""
        return cls(answers / _running_s(options), answers)


def _running_s(options: CostOptions) -> float:
    return options.prices.hours_per_month * 3600 * options.hours_per_day / HOURS_PER_DAY


def replicas_needed(model: ModelSpec, instance_name: str, calls: Sequence[Call], load: Load, prices: Prices) -> int:
    """Replicas on an instance type that compute `calls` for every answer of the load; at least 1."""
    assumed = prices.assumed
    roofline = roofline_on(model, prices.hardware[instance_name], assumed)
    busy = load.answers_per_s * sum(busy_s(roofline, call, assumed) for call in calls) / assumed.utilization
    return max(1, math.ceil(round(busy, 9)))


def needed(profile: Profile, options: CostOptions, load: Load, work: Work) -> Month:
    """A month of the models of one recipe, with as many replicas as the load needs, on the cheapest instance types.

    Args:
        profile: the profile.
        options: prices and hours.
        load: answers of the recipe.
        work: calls of one answer, by model.

    Raises:
        ConfigError: as `deployments.plan.placement.placed`.
    """
    prices = options.prices
    models = [model for model in profile.models if model.id in work]
    placement = placed(
        models,
        prices,
        profile.base_of(aggregator(profile)),
        lambda model, name: replicas_needed(model, name, work[model.id], load, prices),
    )
    return Month(placement.choices, prices, Hours(options.hours_per_day, options.hours_per_day))


def report(profile: Profile, options: CostOptions, load: Load, recipe: str | None = None) -> str:
    """Return the page as text.

    Args:
        profile: the profile.
        options: prices and hours.
        load: answers of each recipe.
        recipe: id of the only recipe on the page; None: all.

    Raises:
        ConfigError: the profile has models without GPUs, no instance type is large enough, or there is no such recipe.
    """
    check_serves(profile)
    cases = asyncio.run(cases_per_answer(profile, options.prices.assumed))
    months = {name: needed(profile, options, load, work) for name, work in _chosen(cases, recipe).items()}
    prices = options.prices
    return "\n".join(
        [
            f"{profile.name} on AWS for {load.answers_per_s:.3g} requests/s ({load.answers_per_month:,.0f} answers a"
            f" month), {prices.region}, prices of {prices.here.date}",
            "",
            *_table(months, load),
            "",
            *_notes(profile, months, options),
        ]
    )


def _chosen(cases: Mapping[str, Work], recipe: str | None) -> Mapping[str, Work]:
    if recipe is None:
        return cases
    found = {name: work for name, work in cases.items() if name in (recipe, recipe + AT_BEST, recipe + AT_WORST)}
    if not found:
        known = dict.fromkeys(name.removesuffix(AT_BEST).removesuffix(AT_WORST) for name in cases)
        raise ConfigError(f"The profile has no recipe '{recipe}'; choose one of: {', '.join(known)}.")
    return found


def _table(months: Mapping[str, Month], load: Load) -> Iterator[str]:
    """A row for each model of a recipe, and one for their sum with everything else that is paid."""
    yield (
        f"{'recipe':<20} {'model':<18} {'replicas':>8} {'GPUs':>18} {'nodes':>20} {'on demand/month':>16}"
        f" {'spot first/month':>20} {'$/1,000 answers':>17}"
    )
    for name, month in months.items():
        label = name
        for choice in month.chosen.values():
            yield (
                f"{label:<20} {choice.model.id:<18} {choice.replicas:>8}"
                f" {f'{choice.gpus:g} x {choice.instance.gpu}':>18}"
                f" {f'{round(choice.nodes, 2):g} x {choice.instance_name}':>20}"
            )
            label = ""
        spot = [month.spot_first(zone) for zone in (0, 1)]
        nodes = sum(choice.nodes for choice in month.chosen.values())
        gpus = sum(choice.gpus for choice in month.chosen.values())
        each = [dollars / load.answers_per_month * 1000 for dollars in spot]
        replicas = sum(choice.replicas for choice in month.chosen.values())
        yield (
            f"{'':<20} {'total':<18} {replicas:>8} {gpus:>18g} {round(nodes, 2):>20g} {month.on_demand:>16,.0f}"
            f" {f'{spot[0]:,.0f} - {spot[1]:,.0f}':>20} {f'{each[0]:,.2f} - {each[1]:,.2f}':>17}"
        )


def _notes(profile: Profile, months: Mapping[str, Month], options: CostOptions) -> Iterator[str]:
    """Assumptions of the table."""
    assumed = options.prices.assumed
    sentences = [
        f"Assumed: all answers are of one recipe, with {assumed.prompt_tokens} prompt tokens and"
        f" {assumed.answer_tokens} tokens from each agent.",
        f"Replicas are busy {assumed.utilization:.0%} of the time, so that peaks of {1 / assumed.utilization:.2g} times"
        " the mean rate fit.",
        f"Each decodes {assumed.decode_batch} answers together, at {assumed.bandwidth_share:.0%} of its GPUs' bandwidth"
        f" and {assumed.compute_share:.0%} of their compute: a roofline, not a measurement; `make load` with `--sweep`"
        " finds the rate of your own server.",
        "A total includes nodes without GPUs, storage and network; spot first is a range from the cheapest zone to the"
        " most expensive one.",
        f"One replica of {profile.base_of(aggregator(profile))} stays on demand.",
    ]
    if options.hours_per_day < HOURS_PER_DAY:
        sentences.append(
            f"GPU nodes and orchestrators run for {options.hours_per_day:g} hours a day, which have all answers."
        )
    if any(name.endswith(AT_WORST) for name in months):
        sentences.append("At best all models are sure and agree, at worst never: a real load lies between the two.")
    yield from wrap(" ".join(sentences), WIDTH)
    yield from _limits(profile, months)
    yield from family_note(choice for month in months.values() for choice in month.chosen.values())


def _limits(profile: Profile, months: Mapping[str, Month]) -> Iterator[str]:
    """Models of which the profile allows fewer replicas than a row has."""
    for model in profile.models:
        allowed = model.replicas.max or model.replicas.min
        rows = [month.chosen[model.id].replicas for month in months.values() if model.id in month.chosen]
        if rows and max(rows) > allowed:
            yield f"The profile allows {allowed} of {model.id}: set replicas.max to {max(rows)} for the largest row."

"""Cost of a profile on AWS, its capacity and its latency: `python -m deployments.plan large --cost`.

Prices and assumptions are in `prices.yaml`, with their dates. Throughput and latency are roofline estimates from the
GPUs' data sheets, not measurements.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deployments.config import Profile
from deployments.plan.answer_tokens import AT_BEST, AT_WORST, ONE_MODEL, aggregator, cases_per_answer, total_tokens
from deployments.plan.choice import Choice, rooflines
from deployments.plan.latency import Latency, latencies
from deployments.plan.month import HOURS_PER_DAY, Hours, Month
from deployments.plan.placement import choices
from deployments.plan.prices import Assumptions, Prices, load_prices
from deployments.plan.purchases import purchases
from serving.errors import ConfigError, MoaError
from serving.recipes import load_recipes

LONGER = 1.05  # a recipe has two cases if the worst takes so many times as long as the best
CHART_FAMILIES = ("g6e", "g7e", "p4d", "p5")  # karpenter.gpu.families of the chart, by default
UPGRADE_H = 0.5  # time for which a second cluster runs in parallel during an upgrade


@dataclass(frozen=True, slots=True)
class CostOptions:
    """Settings of the page that the operator gives. None: as in prices.yaml."""

    prices: Prices = field(default_factory=load_prices)
    hours_per_day: float = HOURS_PER_DAY  # in which the service is not stopped
    min_0_hours: float | None = None  # hours a day in which a model with `replicas.min` 0 runs a replica
    budget: float | None = None  # dollars a month
    savings_plan: float | None = None  # discount on the price on demand, 0 to 1

    @property
    def hours(self) -> Hours:
        """Hours a day of all models and of those with `replicas.min` 0."""
        assumed = self.prices.assumed.min_0_hours_per_day
        return Hours(self.hours_per_day, assumed if self.min_0_hours is None else self.min_0_hours)

    @property
    def limit(self) -> float:
        """Budget in dollars a month."""
        return self.prices.budget_per_month if self.budget is None else self.budget


def recipe_latencies(
    profile: Profile, chosen: Mapping[str, Choice], assumed: Assumptions, *, batch: int = 1, unsure: bool = False
) -> dict[str, Latency]:
    """Latency of each recipe and of each model alone, by id, with `batch` requests at a time on each replica.

    `unsure`: no model is sure of its answer, and no two agree.
    """
    return latencies(
        load_recipes(profile.recipes, profile.team),
        rooflines(chosen, assumed),
        prompt_tokens=assumed.prompt_tokens,
        answer_tokens=assumed.answer_tokens,
        batch=batch,
        parents=profile.parents,
        unsure=unsure,
    )


def latency_cases(
    profile: Profile, chosen: Mapping[str, Choice], assumed: Assumptions, *, worst: bool = True
) -> dict[str, tuple[Latency, Latency]]:
    """Latencies of each recipe and model, alone and as one of `assumed.decode_batch` requests on each replica.

    With `worst`, a recipe whose answer takes longer if its models are not sure has two rows.

    Raises:
        MoaError: a recipe fails on such answers, as by its own deadlines.
    """
    first, last = (
        [recipe_latencies(profile, chosen, assumed, batch=batch, unsure=unsure) for batch in (1, assumed.decode_batch)]
        for unsure in (False, worst)
    )
    found: dict[str, tuple[Latency, Latency]] = {}
    for name in first[0]:
        sure, unsure = (first[0][name], first[1][name]), (last[0][name], last[1][name])
        if any(late.answer_s > early.answer_s * LONGER for early, late in zip(sure, unsure, strict=True)):
            found |= {name + AT_BEST: sure, name + AT_WORST: unsure}
        else:
            found[name] = sure
    return found


def _latency_rows(
    profile: Profile, chosen: Mapping[str, Choice], assumed: Assumptions
) -> tuple[dict[str, tuple[Latency, Latency]], str]:
    """Rows of the table, and a sentence on what is missing."""
    try:
        return latency_cases(profile, chosen, assumed), ""
    except MoaError as error:
        missing = f"At worst a recipe does not answer within its own deadlines by the roofline: {error}"
    try:
        return latency_cases(profile, chosen, assumed, worst=False), missing
    except MoaError as error:
        raise ConfigError(f"A recipe does not answer within its own deadlines by the roofline: {error}") from error


def months(profile: Profile, options: CostOptions) -> dict[str, Month | None]:
    """The profile's month in each region; None where no instance type is large enough."""
    found: dict[str, Month | None] = {}
    for region in options.prices.regions:
        prices = options.prices.in_region(region)
        try:
            found[region] = Month(choices(profile, prices), prices, options.hours)
        except ConfigError:
            found[region] = None
    return found


def report(profile: Profile, options: CostOptions | None = None) -> str:
    """Return the page as text.

    Raises:
        ConfigError: the profile has models without GPUs, or no instance type of the region is large enough.
    """
    options = options or CostOptions()
    prices = options.prices
    month = Month(choices(profile, prices), prices, options.hours)
    stopped = "" if options.hours_per_day == HOURS_PER_DAY else f", {options.hours_per_day:g} hours a day"
    return "\n".join(
        [
            f"{profile.name} on AWS, {prices.region}, prices of {prices.here.date}; one replica of"
            f" {aggregator(profile)} stays on demand{stopped}",
            "",
            *_costs(month),
            "",
            *_regions(profile, options),
            "",
            *purchases(month, options.savings_plan),
            "",
            *_capacities(profile, month),
            *_latencies(profile, month),
        ]
    )


def _costs(month: Month) -> Iterator[str]:
    chosen, prices = [*month.chosen.values()], month.prices
    yield (
        f"{'model':<20} {'GPUs':>18} {'instances':>18} {'on demand/h':>12} {'spot first/h':>16}"
        f" {'$/M prompt':>11} {'$/M answer':>11}"
    )
    for choice in chosen:
        prompt, answer = choice.usd_per_million_tokens(prices.assumed)
        written = f"{answer:.2f}" if choice.model.generates else "-"
        yield (
            f"{choice.model.id:<20} {f'{choice.gpus:g} x {choice.instance.gpu}':>18}"
            f" {f'{round(choice.nodes, 2):g} x {choice.instance_name}':>18} {choice.on_demand:>12.2f}"
            f" {_range(choice.spot):>16} {prompt:>11.2f} {written:>11}"
        )
    fixed_prices = prices.fixed_per_hour
    fixed = sum(fixed_prices.always.values()) + sum(fixed_prices.running.values())
    on_demand, spot = sum(choice.on_demand for choice in chosen), _sum_spot(chosen)
    yield f"{'nodes without GPUs, storage, network':<58} {fixed:>12.2f} {fixed:>16.2f}"
    yield _total("total per hour", fixed + on_demand, [fixed + zone for zone in spot])
    yield _total("total per month", month.on_demand, [month.spot_first(zone) for zone in (0, 1)], ",.0f")
    yield ""
    gpus = sum(choice.gpus for choice in chosen)
    yield _total("one GPU per hour", on_demand / gpus, [zone / gpus for zone in spot])
    upgrade = f"an upgrade: {gpus:g} more GPUs for half an hour"
    yield _total(upgrade, on_demand * UPGRADE_H, [zone * UPGRADE_H for zone in spot])
    extended = (prices.eks_extended_support_per_hour - fixed_prices.always["eks"]) * prices.hours_per_month
    yield f"{'an EKS version out of standard support, more per month':<58} {extended:>12,.0f} {extended:>16,.0f}"
    yield from _notes(month)


def _notes(month: Month) -> Iterator[str]:
    seldom = [choice.model.id for choice in month.chosen.values() if not choice.always_runs]
    if seldom:
        hours = min(month.hours.min_0_per_day, month.hours.per_day)
        yield ""
        yield f"Counted for {hours:g} hours a day, since replicas.min is 0: {', '.join(seldom)}."
    if month.hours.per_day < HOURS_PER_DAY:
        yield ""
        yield f"The month counts GPU nodes and orchestrators for {month.hours.per_day:g} hours a day, the rest for 24."
    if families := [*family_note(month.chosen.values())]:
        yield from ("", *families)


def family_note(chosen: Iterable[Choice]) -> Iterator[str]:
    """Line on instance families that the chart's node pools do not start by default."""
    missing = sorted({choice.instance_name.partition(".")[0] for choice in chosen} - set(CHART_FAMILIES))
    if missing:
        families = ", ".join(CHART_FAMILIES)
        yield f"The chart's node pools start {families}: add {', '.join(missing)} to karpenter.gpu.families."


def _regions(profile: Profile, options: CostOptions) -> Iterator[str]:
    budget = options.limit
    yield f"Dollars a month by region, and the share of spot fallback at which the month costs more than {budget:,.0f}:"
    yield ""
    yield f"{'region':<20} {'prices of':>12} {'on demand':>12} {'spot first':>18} {'fallback':>14}"
    for region, month in months(profile, options).items():
        date = options.prices.regions[region].date
        if month is None:
            yield f"{region:<20} {date!s:>12} {'no instance type is large enough':>46}"
            continue
        spot = _range([month.spot_first(zone) for zone in (0, 1)], ",.0f")
        limits = [month.fallback_limit(zone, budget) for zone in (0, 1)]
        share = "never" if None in limits else " - ".join(f"{limit:.0%}" for limit in limits)
        yield f"{region:<20} {date!s:>12} {month.on_demand:>12,.0f} {spot:>18} {share:>14}"


def _capacities(profile: Profile, month: Month) -> Iterator[str]:
    chosen, prices, assumed = month.chosen, month.prices, month.prices.assumed
    yield (
        f"Capacity for {assumed.prompt_tokens} prompt tokens and {assumed.answer_tokens} tokens from each agent, as a"
        f" roofline at {assumed.utilization:.0%} utilization:"
    )
    yield ""
    yield (
        f"{'recipe':<20} {'tokens/answer':>14} {'answers/month':>14} {'tokens/month':>14} {'$/1,000 at full load':>22}"
        f" {'$/1,000 at 300,000':>20}"
    )
    month_s = prices.hours_per_month * 3600 * assumed.utilization
    for name, work in asyncio.run(cases_per_answer(profile, assumed)).items():
        busy_s = {model: sum(chosen[model].seconds(call, assumed) for call in calls) for model, calls in work.items()}
        capacity = min(
            chosen[model].replicas * month_s * month.hours.share(chosen[model]) / seconds
            for model, seconds in busy_s.items()
        )
        dollars = [month.only(work).spot_first(zone) for zone in (0, 1)]
        tokens = total_tokens(work)
        full_load = _range([usd / capacity * 1000 for usd in dollars]) if capacity else "never runs"
        partial_load = _range([usd / 300 for usd in dollars]) if capacity >= 300_000 else "does not fit"
        label = f"{ONE_MODEL} ({aggregator(profile)})" if name == ONE_MODEL else name
        yield (
            f"{label:<20} {tokens:>14,} {capacity:>14,.0f} {capacity * tokens:>14,.0f} {full_load:>22}"
            f" {partial_load:>20}"
        )
    yield ""
    yield "A recipe's row counts the nodes of the models that it calls, for the whole month. Where the calls depend on"
    yield "the answers: at best all models are sure and agree, at worst never."


def _latencies(profile: Profile, month: Month) -> Iterator[str]:
    assumed = month.prices.assumed
    found, missing = _latency_rows(profile, month.chosen, assumed)
    if not found:
        return
    yield ""
    yield f"Seconds of such an answer, as a roofline: alone, and as one of {assumed.decode_batch} on each replica"
    yield ""
    together = f"of {assumed.decode_batch}"
    yield (
        f"{'':<20} {'first token, alone':>20} {f'first token, {together}':>20} {'whole answer, alone':>20}"
        f" {f'whole answer, {together}':>20}"
    )
    for name, (alone, full) in found.items():
        yield f"{name:<20} {alone.ttft_s:>20.1f} {full.ttft_s:>20.1f} {alone.answer_s:>20.1f} {full.answer_s:>20.1f}"
    for name, (alone, full) in found.items():
        if dropped := sorted({*alone.stragglers, *full.stragglers}):
            yield f"{name} does not wait for {', '.join(dropped)}: raise its straggler_grace_s."
    yield from [missing] if missing else []


def _sum_spot(chosen: Sequence[Choice]) -> list[float]:
    return [sum(choice.spot[zone] for choice in chosen) for zone in (0, 1)]


def _total(name: str, on_demand: float, spot: Sequence[float], form: str = ".2f") -> str:
    return f"{name:<58} {on_demand:>12{form}} {_range(spot, form):>16}"


def _range(dollars: Sequence[float], form: str = ".2f") -> str:
    return f"{dollars[0]:{form}} - {dollars[1]:{form}}"

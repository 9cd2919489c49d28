"""Objectives for the time to the first token, by recipe: `python -m deployments.plan PROFILE --objectives`.

A recipe's first token comes after its layers of proposers, so some recipes would always miss one objective for all. An
objective is the bound of a histogram's bucket, since Prometheus counts the first tokens below such bounds only.
"""

from collections.abc import Iterator, Mapping

from deployments.config import Profile
from deployments.ingress.buckets import TTFT_SECONDS
from deployments.plan.cost import recipe_latencies
from deployments.plan.placement import choices
from deployments.plan.prices import Prices, load_prices
from serving.errors import ConfigError, MoaError

MARGIN = 1.2  # for queues and the network, which the roofline leaves out


def ttft_objectives(profile: Profile, prices: Prices | None = None) -> dict[str, float]:
    """Seconds in which the first token of each recipe should come, by the recipe's id.

    Each is the smallest bound above the roofline's time with `MARGIN`, with as many requests on each replica as the
    prices' assumptions decode together.

    Raises:
        ConfigError: as `placement.choices`, or a recipe's first token takes longer than the largest bucket or than its
            own deadlines.
    """
    return {name: objective for name, (_, objective) in _found(profile, prices or load_prices()).items()}


def _found(profile: Profile, prices: Prices) -> Mapping[str, tuple[float, float]]:
    """(first token by the roofline, objective) of each recipe, in seconds."""
    chosen = choices(profile, prices)
    try:
        latencies = recipe_latencies(profile, chosen, prices.assumed, batch=prices.assumed.decode_batch)
    except MoaError as error:
        raise ConfigError(f"A recipe does not answer within its own deadlines by the roofline: {error}") from error
    teams = {name: latency.ttft_s for name, latency in latencies.items() if name not in chosen}
    return {name: (ttft_s, _bound(name, ttft_s)) for name, ttft_s in teams.items()}


def _bound(recipe: str, ttft_s: float) -> float:
    found = next((bound for bound in TTFT_SECONDS if bound >= MARGIN * ttft_s), None)
    if found is None:
        raise ConfigError(
            f"The first token of '{recipe}' takes {ttft_s:.0f} s by the roofline, but no objective above"
            f" {TTFT_SECONDS[-1]} s can be counted; use faster GPUs, or a recipe with fewer layers."
        )
    return found


def report(profile: Profile, prices: Prices | None = None) -> str:
    """Return the page as text; its last part are values of the Helm chart.

    Raises:
        ConfigError: as `ttft_objectives`.
    """
    prices = prices or load_prices()
    return "\n".join(_lines(profile, prices, _found(profile, prices)))


def _lines(profile: Profile, prices: Prices, found: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    assumed = prices.assumed
    yield (
        f"{profile.name}: seconds to the first token for {assumed.prompt_tokens} prompt tokens and"
        f" {assumed.answer_tokens} tokens from each agent, with {assumed.decode_batch} requests on each replica"
    )
    yield ""
    yield f"{'recipe':<20} {'roofline':>10} {'objective':>10}"
    for name, (ttft_s, objective) in found.items():
        yield f"{name:<20} {ttft_s:>10.1f} {objective:>10g}"
    yield ""
    yield f"An objective is the first bucket of at least {MARGIN:g} times the roofline's time. In the chart's values:"
    yield ""
    yield "monitoring:"
    yield "  rules:"
    yield "    recipeTtftSeconds:"
    for name, (_, objective) in found.items():
        yield f"      {name}: {objective:g}"

"""Costs and capacities, and the places in the repository that repeat them."""

import os
import re

import pytest
import yaml

from deployments.config import load_profile
from deployments.plan.answer_tokens import ONE_MODEL
from deployments.plan.capacity import Load
from deployments.plan.capacity import report as capacity_report
from deployments.plan.choice import Choice
from deployments.plan.cost import CHART_FAMILIES, CostOptions, months, recipe_latencies, report
from deployments.plan.placement import choices
from deployments.plan.prices import Region
from serving.errors import ConfigError
from tests.support.paths import ROOT
from tests.support.plans import PRICES, SHAPE, model, profile, stopping


def test_the_report_has_a_row_for_each_model_and_recipe() -> None:
    text = report(profile())
    for word in ("g6e.12xlarge", "total per month", "moa-lite", "moa ", ONE_MODEL, str(PRICES.here.date), "roofline"):
        assert word in text


LARGE = load_profile("large")
CHOICES = choices(LARGE, PRICES)


@pytest.mark.parametrize("region", PRICES.regions)
@pytest.mark.parametrize("zone", [0, 1], ids=["cheapest zone", "most expensive zone"])
def test_large_stays_within_its_budget(zone: int, region: str) -> None:
    month = months(LARGE, CostOptions())[region]
    assert month is not None
    assert 8_000 <= month.spot_first(zone) <= 15_000


def test_large_answers_300_000_times_a_month_by_the_recipe_with_most_layers() -> None:
    row = next(line for line in report(LARGE).splitlines() if line.startswith("moa "))
    assert int(row.split()[2].replace(",", "")) >= 300_000


def row(label: str, text: str) -> list[str]:
    """Columns of the last row with this label."""
    return [re.split(r"\s{2,}", line)[1:] for line in text.splitlines() if re.split(r"\s{2,}", line)[0] == label][-1]


@pytest.mark.parametrize("region", PRICES.regions)
def test_each_region_has_a_row_with_the_fallback_that_its_budget_holds(region: str) -> None:
    month = months(LARGE, CostOptions())[region]
    assert month is not None
    limits = [month.fallback_limit(zone, PRICES.budget_per_month) for zone in (0, 1)]
    spot = [month.spot_first(zone) for zone in (0, 1)]
    assert row(region, report(LARGE)) == [
        f"{PRICES.regions[region].date}",
        f"{month.on_demand:,.0f}",
        f"{spot[0]:,.0f} - {spot[1]:,.0f}",
        f"{limits[0]:.0%} - {limits[1]:.0%}",
    ]


def test_a_budget_that_holds_on_demand_is_never_left() -> None:
    assert row("us-east-1", report(LARGE, CostOptions(budget=50_000)))[-1] == "never"


def test_a_region_without_a_large_enough_instance_says_so() -> None:
    regions = {**PRICES.regions, "small-1": Region(date=PRICES.here.date, source="none", instances={})}
    page = report(profile(), CostOptions(PRICES.model_copy(update={"regions": regions})))
    assert row("small-1", page)[-1] == "no instance type is large enough"


def test_nights_halve_the_capacity_and_are_counted() -> None:
    day, half = report(LARGE), report(LARGE, CostOptions(hours_per_day=12))
    answers = [int(row("moa", page.partition("Seconds of")[0])[1].replace(",", "")) for page in (day, half)]
    assert answers[0] == pytest.approx(2 * answers[1], abs=1)
    assert "for 12 hours a day, the rest for 24" in half
    assert "hours a day" not in day


def test_models_that_stop_are_named_with_their_hours() -> None:
    models = (model("a"), stopping(model("b")), stopping(model("c")))
    page = report(profile().model_copy(update={"models": models}), CostOptions(min_0_hours=3))
    assert "Counted for 3 hours a day, since replicas.min is 0: b, c." in page
    default = report(profile().model_copy(update={"models": models}))
    assert f"Counted for {PRICES.assumed.min_0_hours_per_day:g} hours a day, since" in default


def test_a_cascade_has_a_row_for_its_best_and_its_worst_case() -> None:
    """Capacity and latency: the draft alone, or the draft and the team that reads it."""
    page = report(LARGE)
    capacity, _, latency = page.partition("Seconds of")
    best, worst, team = (row(name, capacity) for name in ("cascade, at best", "cascade, at worst", "moa-lite"))
    assert best[0] == row("one model (qwen2.5-72b)", capacity)[0] == "900"
    assert int(worst[0].replace(",", "")) > 900 + int(team[0].replace(",", ""))
    seconds = {name: float(row(name, latency)[2]) for name in ("cascade, at best", "cascade, at worst", "moa-lite")}
    assert seconds["cascade, at best"] == float(row("qwen2.5-72b", latency)[2])
    assert seconds["cascade, at worst"] == pytest.approx(sum(seconds.values()) - seconds["cascade, at worst"], rel=0.05)


def test_too_slow_a_recipe_is_said_in_one_sentence() -> None:
    slow = PRICES.model_copy(update={"assumed": PRICES.assumed.model_copy(update={"answer_tokens": 4000})})
    with pytest.raises(ConfigError, match="does not answer within its own deadlines by the roofline: Layer 1 returned"):
        report(LARGE, CostOptions(slow))


def test_recipes_wait_for_models_that_stop() -> None:
    models = (model("a"), model("b"), stopping(model("c")))
    never = report(profile().model_copy(update={"models": models}), CostOptions(min_0_hours=0))
    assert row("moa-lite", never.partition("Seconds of")[0])[1:] == ["0", "0", "never runs", "does not fit"]


def test_an_eks_version_out_of_support_costs_its_surcharge() -> None:
    assert row("an EKS version out of standard support, more per month", report(LARGE)) == ["365", "365"]


def test_the_report_shows_the_latency_of_each_recipe() -> None:
    latency = recipe_latencies(LARGE, CHOICES, PRICES.assumed)["moa-lite"]
    full = recipe_latencies(LARGE, CHOICES, PRICES.assumed, batch=PRICES.assumed.decode_batch)["moa-lite"]
    row = [line for line in report(LARGE).splitlines() if line.startswith("moa-lite ")][-1]
    assert row.split()[1:] == [f"{s:.1f}" for s in (latency.ttft_s, full.ttft_s, latency.answer_s, full.answer_s)]
    # One layer of 400 tokens, each a read of 72.7 GB at 60% of 2 x 1,597 GB/s.
    assert latency.ttft_s == pytest.approx(400 * 72.7 / (2 * 1597 * 0.6), rel=0.1)


@pytest.mark.parametrize("name", ["large", "gpt-oss", "qwen3"])
def test_no_recipe_of_a_profile_drops_a_proposer_of_ordinary_speed(name: str) -> None:
    """A mixture of experts answers early, so that grace for the others must be long enough."""
    assert "does not wait for" not in report(load_profile(name))


def test_a_recipe_that_drops_proposers_is_named() -> None:
    hasty = {"preset": "moa-lite", "straggler_grace_s": 1}
    fast = model("c", shape={**SHAPE, "active_parameters": 7_000_000_000})
    page = report(profile(recipes=[hasty]).model_copy(update={"models": (model("a"), model("b"), fast)}))
    assert "moa-lite does not wait for a, b: raise its straggler_grace_s." in page


# prices.yaml is the source. Three places repeat what is computed from it: docs/cost.md, the profile `large` (from which
# the chart's model values are checked, in tests/chart/test_profile.py) and the chart's values that no profile has.


def test_the_document_shows_what_the_command_prints() -> None:
    """UPDATE_DOCS=1 writes it."""
    path = ROOT / "docs" / "cost.md"
    before, block, after = re.split(r"(?<=```text\n)(.*?)(?=```)", path.read_text(), maxsplit=1, flags=re.DOTALL)
    printed = report(LARGE) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(before + printed + after)
        block = printed
    assert block == printed


PRICED = {**CHOICES, **choices(load_profile("gpt-oss"), PRICES)}


@pytest.mark.parametrize("choice", PRICED.values(), ids=PRICED)
def test_the_profiles_token_prices_are_the_computed_ones(choice: Choice) -> None:
    written = choice.model.usd_per_million_tokens
    assert written is not None
    computed = choice.usd_per_million_tokens(PRICES.assumed)
    assert (written.prompt, written.completion) == pytest.approx(computed, abs=0.006)


def test_the_document_shows_what_the_command_prints_for_a_load() -> None:
    """UPDATE_DOCS=1 writes it."""
    path = ROOT / "docs" / "cost.md"
    page = path.read_text()
    found = re.search(r"## A load\n.*?```\n(.*?)\n```.*?```text\n(.*?)```", page, re.DOTALL)
    assert found
    _, _, _, name, _, answers, _, recipe = found[1].split()
    shown = found[2]
    options = CostOptions()
    printed = capacity_report(load_profile(name), options, Load.of_month(float(answers), options), recipe) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(page[: found.start(2)] + printed + page[found.end(2) :])
        shown = printed
    assert shown == printed


def test_the_charts_families_are_known() -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    assert values["karpenter"]["gpu"]["families"] == [*CHART_FAMILIES]
    assert "karpenter.gpu.families" not in report(LARGE)
    assert "add g6 to karpenter.gpu.families" in report(load_profile("lite"))


def test_the_charts_own_values_are_the_computed_ones() -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    gpu_hour_usd = sum(choice.spot[0] for choice in CHOICES.values()) / LARGE.gpus
    assert values["monitoring"]["rules"]["gpuHourUsd"] == pytest.approx(gpu_hour_usd, abs=0.006)
    on_demand = {name: model["replicas"]["onDemandFloor"] for name, model in values["models"].items()}
    assert on_demand == {name: choice.on_demand_nodes for name, choice in CHOICES.items()}

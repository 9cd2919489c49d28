"""Costs and capacities, and the places in the repository that repeat them."""

import os
import re

import pytest
import yaml

from deployments.config import Profile, load_profile
from deployments.model_spec import ModelSpec
from deployments.plan.cost import (
    ONE_MODEL,
    Choice,
    choices,
    choose,
    gpu_memory_mib,
    load_prices,
    recipe_latencies,
    report,
    tokens_per_answer,
)
from serving.errors import ConfigError
from tests.support.paths import ROOT

PRICES = load_prices()
SHAPE = {"parameters": 70_000_000_000, "layers": 80, "kv_heads": 8, "head_dim": 128, "weight_bits": 8}


def model(model_id: str = "a", gpus: int = 4, replicas: int = 1, **changes: object) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "id": model_id,
            "source": "org/model",
            "shape": SHAPE,
            "engine_kwargs": {"max_model_len": 32768, "tensor_parallel_size": gpus, "gpu_memory_utilization": 0.9},
            "replicas": {"min": replicas},
            **changes,
        }
    )


def profile(**changes: object) -> Profile:
    models = [model(name).model_dump() for name in ("a", "b", "c")]
    team = {"proposers": ["a", "b", "c"], "aggregator": "a"}
    return Profile.model_validate(
        {"name": "p", "models": models, "team": team, "recipes": ["moa-lite", "moa"], **changes}
    )


def test_gpu_memory_is_weights_cache_and_overhead() -> None:
    weights = 70e9 / 4
    cache = 2 * 80 * 8 * 128 * 2 * 4 * 32768 / 4
    expected = ((weights + cache) / 2**30 + 3) / 0.9 * 1024
    assert gpu_memory_mib(model()) == pytest.approx(expected, abs=1)


def test_the_cheapest_instance_that_is_large_enough() -> None:
    assert choose(model(), PRICES).instance_name == "g6e.12xlarge"
    # Two GPUs each hold half of the weights: 48 GB are too few, 96 GB are enough.
    assert choose(model(gpus=2), PRICES).instance_name == "g7e.12xlarge"


def test_replicas_share_a_node_where_they_fit() -> None:
    assert choose(model(gpus=2, replicas=3), PRICES).nodes == 3
    assert choose(model(replicas=3), PRICES).nodes == 3
    assert choose(model(gpus=8, replicas=2), PRICES).nodes == 2


def test_some_replicas_can_be_kept_on_demand() -> None:
    choice = choose(model(replicas=2), PRICES, on_demand_replicas=1)
    assert choice.on_demand_nodes == 1
    assert choice.on_demand == 2 * choice.instance.on_demand
    assert choice.spot[0] == choice.instance.on_demand + choice.instance.spot[0]


def test_too_large_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="raise its tensor_parallel_size"):
        choose(model(gpus=1), PRICES)


def test_a_model_without_sizes_is_refused() -> None:
    with pytest.raises(ConfigError, match="'a' has no 'shape'"):
        choose(model(shape=None), PRICES)


def test_a_model_on_a_part_of_a_gpu_is_refused() -> None:
    shared = {"placement": {"bundle_per_worker": {"GPU": 0.5}}}
    with pytest.raises(ConfigError, match="'a' shares its GPU; costs are computed for models on whole GPUs only"):
        choose(model(**shared), PRICES)


def test_experts_that_a_token_does_not_use_cost_no_prefill() -> None:
    dense = choose(model(), PRICES)
    sparse = choose(model(shape={**SHAPE, "active_parameters": 7_000_000_000}), PRICES)
    assert sparse.seconds(500, 0, PRICES.assumed) == pytest.approx(dense.seconds(500, 0, PRICES.assumed) / 10)
    assert sparse.seconds(0, 400, PRICES.assumed) == dense.seconds(0, 400, PRICES.assumed)


async def test_tokens_of_an_answer_are_those_of_the_calls() -> None:
    found = await tokens_per_answer(profile(), PRICES.assumed)
    asked, answered = PRICES.assumed.prompt_tokens, PRICES.assumed.answer_tokens
    assert found[ONE_MODEL] == {"a": (asked, answered)}
    assert found["moa-lite"]["b"] == (asked, answered)
    prompt, completion = found["moa-lite"]["a"]
    assert completion == 2 * answered  # as proposer and as aggregator
    assert 2 * asked + 3 * answered < prompt < 2 * asked + 3 * answered + 200  # references, and the words around them
    assert found["moa"]["b"][1] == 2 * answered
    assert found["moa"]["c"][0] > 2 * asked + 3 * answered


def test_more_seconds_for_more_tokens_and_fewer_on_a_faster_gpu() -> None:
    slow, fast = choose(model(), PRICES), choose(model(gpus=8), PRICES)
    assert slow.seconds(500, 800, PRICES.assumed) > slow.seconds(500, 400, PRICES.assumed)
    assert fast.seconds(500, 400, PRICES.assumed) < slow.seconds(500, 400, PRICES.assumed)


def test_the_report_has_a_row_for_each_model_and_recipe() -> None:
    text = report(profile())
    for word in ("g6e.12xlarge", "total per month", "moa-lite", "moa ", ONE_MODEL, PRICES.date, "roofline"):
        assert word in text


LARGE = load_profile("large")
CHOICES = choices(LARGE, PRICES)


def test_one_replica_of_the_aggregator_stays_on_demand() -> None:
    assert {model_id: choice.on_demand_nodes for model_id, choice in CHOICES.items()} == {
        model.id: int(model.id == LARGE.team["aggregator"]) for model in LARGE.models
    }


@pytest.mark.parametrize("zone", [0, 1], ids=["cheapest zone", "most expensive zone"])
def test_large_stays_within_its_budget(zone: int) -> None:
    hourly = sum(choice.spot[zone] for choice in CHOICES.values())
    month = (hourly + sum(PRICES.fixed_per_hour.values())) * PRICES.hours_per_month
    assert 8_000 <= month <= 15_000


def test_large_answers_300_000_times_a_month_by_the_recipe_with_most_layers() -> None:
    row = next(line for line in report(LARGE).splitlines() if line.startswith("moa "))
    assert int(row.split()[2].replace(",", "")) >= 300_000


def test_spot_prices_of_another_region_or_date_are_named() -> None:
    assert "Spot prices of g7e.12xlarge are those of us-west-2" in report(LARGE)
    assert "Spot prices of" not in report(profile())


def test_the_report_shows_the_latency_of_each_recipe() -> None:
    latency = recipe_latencies(LARGE, CHOICES, PRICES.assumed)["moa-lite"]
    full = recipe_latencies(LARGE, CHOICES, PRICES.assumed, batch=PRICES.assumed.decode_batch)["moa-lite"]
    row = [line for line in report(LARGE).splitlines() if line.startswith("moa-lite ")][-1]
    assert row.split()[1:] == [f"{s:.1f}" for s in (latency.ttft_s, full.ttft_s, latency.answer_s, full.answer_s)]
    # One layer of 400 tokens, each a read of 72.7 GB at 60% of 2 x 1,597 GB/s.
    assert latency.ttft_s == pytest.approx(400 * 72.7 / (2 * 1597 * 0.6), rel=0.1)


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


def test_the_charts_own_values_are_the_computed_ones() -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    gpu_hour_usd = sum(choice.spot[0] for choice in CHOICES.values()) / LARGE.gpus
    assert values["monitoring"]["rules"]["gpuHourUsd"] == pytest.approx(gpu_hour_usd, abs=0.006)
    on_demand = {name: model["replicas"]["onDemandFloor"] for name, model in values["models"].items()}
    assert on_demand == {name: choice.on_demand_nodes for name, choice in CHOICES.items()}

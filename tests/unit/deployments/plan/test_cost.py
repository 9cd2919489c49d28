import os
import re

import pytest
import yaml

from deployments.config import ModelSpec, Profile, load_profile
from deployments.plan.cost import ONE_MODEL, Choice, choose, gpu_memory_mib, load_prices, report, tokens_per_answer
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


def test_the_floor_is_paid_on_demand() -> None:
    choice = choose(model(replicas=2), PRICES, floor=1)
    assert choice.floor_nodes == 1
    assert choice.on_demand == 2 * choice.instance.on_demand
    assert choice.spot[0] == choice.instance.on_demand + choice.instance.spot[0]


def test_too_large_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="raise its tensor_parallel_size"):
        choose(model(gpus=1), PRICES)


def test_a_model_without_sizes_is_refused() -> None:
    with pytest.raises(ConfigError, match="'a' has no 'shape'"):
        choose(model(shape=None), PRICES)


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
    for word in ("g6e.12xlarge", "a month", "moa-lite", "moa ", ONE_MODEL, PRICES.date, "roofline"):
        assert word in text


def test_the_document_shows_what_the_command_prints() -> None:
    """UPDATE_DOCS=1 writes it anew."""
    path = ROOT / "docs" / "cost.md"
    before, block, after = re.split(r"(?<=```text\n)(.*?)(?=```)", path.read_text(), maxsplit=1, flags=re.DOTALL)
    printed = report(load_profile("large")) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(before + printed + after)
        block = printed
    assert block == printed


@pytest.mark.parametrize("zone", [0, 1], ids=["cheapest zone", "dearest zone"])
def test_large_stays_within_its_budget(zone: int) -> None:
    hourly = sum(choice.spot[zone] for choice in large_choices())
    month = (hourly + sum(PRICES.fixed_per_hour.values())) * PRICES.hours_per_month
    assert 8_000 <= month <= 15_000


def large_choices() -> list[Choice]:
    large = load_profile("large")
    return [choose(m, PRICES, floor=int(m.id == large.team["aggregator"])) for m in large.models]


def test_large_answers_300_000_times_a_month_by_the_recipe_with_most_layers() -> None:
    (row,) = [line for line in report(load_profile("large")).splitlines() if line.startswith("moa ")]
    assert int(row.split()[2].replace(",", "")) >= 300_000


def test_the_charts_price_of_a_gpu_hour_is_what_the_arithmetic_gives() -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    hourly = sum(choice.spot[0] for choice in large_choices()) / load_profile("large").gpus
    assert values["monitoring"]["rules"]["gpuHourUsd"] == pytest.approx(hourly, abs=0.006)


def test_the_chart_keeps_on_demand_what_the_arithmetic_reckons_so() -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    floors = {name: model["replicas"]["onDemandFloor"] for name, model in values["models"].items()}
    assert floors == {choice.model.id: choice.floor_nodes for choice in large_choices()}


def test_a_price_of_another_place_or_day_is_said() -> None:
    assert "Spot prices of g7e.12xlarge are of us-west-2" in report(load_profile("large"))
    assert "Spot prices of" not in report(profile())


def test_the_profiles_token_prices_are_what_the_arithmetic_gives() -> None:
    large = load_profile("large")
    for spec in large.models:
        prompt, completion = choose(
            spec, PRICES, floor=int(spec.id == large.team["aggregator"])
        ).usd_per_million_tokens(PRICES.assumed)
        assert spec.usd_per_million_tokens is not None
        assert spec.usd_per_million_tokens.prompt == pytest.approx(prompt, abs=0.006)
        assert spec.usd_per_million_tokens.completion == pytest.approx(completion, abs=0.006)

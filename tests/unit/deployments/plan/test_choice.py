"""Instance types of models, and the time and price of their tokens."""

import pytest

from deployments.config import load_profile
from deployments.plan.answer_tokens import Call
from deployments.plan.choice import choices, choose, gpu_memory_mib
from serving.errors import ConfigError
from tests.support.plans import PRICES, SHAPE, model, profile, stopping

ASSUMED = PRICES.assumed
PROMPT, ANSWER = Call(500, 0), Call(500, 400)


def test_gpu_memory_is_weights_cache_and_overhead() -> None:
    weights = 70e9 / 4
    cache = 2 * 80 * 8 * 128 * 2 * 4 * 32768 / 4
    expected = ((weights + cache) / 2**30 + 3) / 0.9 * 1024
    assert gpu_memory_mib(model()) == pytest.approx(expected, abs=1)


def test_the_cheapest_instance_that_is_large_enough() -> None:
    assert choose(model(), PRICES).instance_name == "g6e.12xlarge"
    # Two GPUs each hold half of the weights: 48 GB are too few, 96 GB are enough.
    assert choose(model(gpus=2), PRICES).instance_name == "g7e.12xlarge"


def test_each_region_has_its_own_cheapest_instance() -> None:
    for region in PRICES.regions:
        prices = PRICES.in_region(region)
        choice = choose(model(gpus=2), prices)
        assert choice.price == prices.here.instances[choice.instance_name]


def test_replicas_share_a_node_where_they_fit() -> None:
    assert choose(model(gpus=2, replicas=3), PRICES).nodes == 3
    assert choose(model(replicas=3), PRICES).nodes == 3
    assert choose(model(gpus=8, replicas=2), PRICES).nodes == 2


def test_some_replicas_can_be_kept_on_demand() -> None:
    choice = choose(model(replicas=2), PRICES, on_demand_replicas=1)
    assert (choice.on_demand_nodes, choice.spot_nodes) == (1, 1)
    assert choice.on_demand == 2 * choice.price.on_demand
    assert choice.spot[0] == choice.price.on_demand + choice.price.spot[0]


def test_a_model_that_stops_is_priced_for_one_replica() -> None:
    choice = choose(stopping(model()), PRICES)
    assert (choice.replicas, choice.nodes, choice.gpus, choice.always_runs) == (1, 1, 4, False)
    assert choice.usd_per_million_tokens(ASSUMED) == choose(model(), PRICES).usd_per_million_tokens(ASSUMED)


def test_one_replica_of_the_aggregator_stays_on_demand() -> None:
    large = load_profile("large")
    assert {model_id: choice.on_demand_nodes for model_id, choice in choices(large, PRICES).items()} == {
        model.id: int(model.id == large.team["aggregator"]) for model in large.models
    }


def test_too_large_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="in us-east-1; raise its tensor_parallel_size"):
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
    prompts = [choice.seconds(PROMPT, ASSUMED) for choice in (sparse, dense)]
    assert prompts[0] == pytest.approx(prompts[1] / 10)
    answers = [choice.seconds(ANSWER, ASSUMED) for choice in (sparse, dense)]
    assert answers[0] - prompts[0] == pytest.approx(answers[1] - prompts[1])


def test_more_seconds_for_more_tokens_and_fewer_on_a_faster_gpu() -> None:
    slow, fast = choose(model(), PRICES), choose(model(gpus=8), PRICES)
    assert slow.seconds(Call(500, 800), ASSUMED) > slow.seconds(ANSWER, ASSUMED)
    assert fast.seconds(ANSWER, ASSUMED) < slow.seconds(ANSWER, ASSUMED)


def test_a_million_tokens_cost_the_seconds_of_a_replica() -> None:
    choice = choose(model(replicas=2), PRICES)
    usd_per_s = choice.spot[0] / 2 / 3600 / ASSUMED.utilization
    prompt, answer = choice.usd_per_million_tokens(ASSUMED)
    assert prompt == pytest.approx(choice.seconds(PROMPT, ASSUMED) / 500 * 1e6 * usd_per_s)
    both = choice.seconds(ANSWER, ASSUMED) * usd_per_s
    assert (500 * prompt + 400 * answer) / 1e6 == pytest.approx(both)


def test_each_model_of_a_profile_is_placed() -> None:
    assert [*choices(profile(), PRICES)] == ["a", "b", "c"]

"""Instance types of models, and the time and price of their tokens."""

import pytest

from deployments.config import load_profile
from deployments.model_spec import ModelSpec
from deployments.plan.answer_tokens import Call
from deployments.plan.choice import gpu_memory_mib
from deployments.plan.placement import choices, choose, placed
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


def small(model_id: str, share: float) -> ModelSpec:
    """Six billion parameters in 8 bits on a part of a GPU: 5.6 GiB, 4 contexts of 1 GiB, 3 GiB; of 0.9 of the part."""
    return model(
        model_id,
        shape={**SHAPE, "parameters": 6_000_000_000, "layers": 32},
        placement={"bundle_per_worker": {"GPU": share}},
        engine_kwargs={"max_model_len": 8192, "gpu_memory_utilization": 0.9 * share},
    )


def test_a_model_on_a_part_of_a_gpu_needs_that_part_to_be_large_enough() -> None:
    assert gpu_memory_mib(small("a", 0.5)) == pytest.approx((5.588 + 4 + 3) / 0.45 * 1024, abs=1)
    assert gpu_memory_mib(small("a", 0.5)) <= PRICES.hardware["g6e.xlarge"].gpu_memory_mib
    fixed = {"max_model_len": 8192, "gpu_memory_utilization": 0.45, "kv_cache_memory_bytes": 2**30}
    capped = small("a", 0.5).model_copy(update={"engine_kwargs": fixed})
    assert gpu_memory_mib(capped) == pytest.approx((5.588 + 1 + 3) / 0.45 * 1024, abs=1)


def test_models_share_a_gpu_and_its_price() -> None:
    """Two halves fit the 48 GB of a g6e.xlarge, at 0.8783 dollars an hour at most; the GPU is in use by both."""
    chosen = placed([small("b", 0.5), small("c", 0.5)], PRICES).choices
    assert {c.instance_name for c in chosen.values()} == {"g6e.xlarge"}
    assert [(c.gpus, c.nodes) for c in chosen.values()] == [(0.5, 0.5), (0.5, 0.5)]
    assert sum(c.spot[0] for c in chosen.values()) == pytest.approx(0.8783)
    whole = choose(small("b", 1.0), PRICES).instance
    assert chosen["b"].roofline(ASSUMED).bytes_per_s == pytest.approx(0.5 * 864e9 * 0.6)
    assert whole.gpu_memory_mib == 22888  # alone on its GPU, 24 GB are enough


def test_models_that_share_the_aggregators_gpu_are_on_demand_with_it() -> None:
    chosen = placed([small("a", 0.5), small("b", 0.5)], PRICES, kept="a").choices
    assert [(c.nodes, c.on_demand_nodes) for c in chosen.values()] == [(0.5, 0.5), (0.5, 0.5)]
    whole = placed([small("a", 1.0), small("b", 0.5)], PRICES, kept="a").choices
    assert [(c.nodes, c.on_demand_nodes) for c in whole.values()] == [(1, 1), (1, 0)]


def test_lite_runs_on_the_smallest_instances() -> None:
    """Three g6.xlarge: 3 x 0.8048 on demand, or one of them and two at 0.347 to 0.5525 at spot prices."""
    chosen = choices(load_profile("lite"), PRICES)
    assert {c.instance_name for c in chosen.values()} == {"g6.xlarge"}
    assert sum(c.nodes for c in chosen.values()) == 3
    assert sum(c.on_demand for c in chosen.values()) == pytest.approx(3 * 0.8048)
    spot = [sum(c.spot[zone] for c in chosen.values()) for zone in (0, 1)]
    assert spot == pytest.approx([0.8048 + 2 * 0.347, 0.8048 + 2 * 0.5525])


def test_models_share_a_node_of_several_gpus_where_no_smaller_one_exists() -> None:
    """Without the small types three models on one GPU each share the two GPUs of a g7e.12xlarge."""
    small_types = ("g5.xlarge", "g6.xlarge", "g6.12xlarge", "g6e.xlarge", "g6e.12xlarge", "g7e.2xlarge")
    left = {name: price for name, price in PRICES.here.instances.items() if name not in small_types}
    here = PRICES.here.model_copy(update={"instances": left})
    chosen = choices(load_profile("lite"), PRICES.model_copy(update={"regions": {"us-east-1": here}}))
    assert {c.instance_name for c in chosen.values()} == {"g7e.12xlarge"}
    assert [(c.nodes, c.on_demand_nodes) for c in chosen.values()] == [(1, 1), (0.5, 0), (0.5, 0)]


def test_a_node_without_memory_for_the_weights_is_not_chosen() -> None:
    """The weights and 8 GiB for the processes must fit the 13.8 GiB of a g6.xlarge."""
    found = {}
    for gib in (5, 6):
        spec = model(gpus=1, shape={**SHAPE, "parameters": gib * 2**30, "layers": 8})
        spec = spec.model_copy(update={"engine_kwargs": {"max_model_len": 4096, "gpu_memory_utilization": 0.9}})
        assert gpu_memory_mib(spec) <= PRICES.hardware["g6.xlarge"].gpu_memory_mib
        found[gib] = choose(spec, PRICES).instance_name
    assert found == {5: "g6.xlarge", 6: "g6e.xlarge"}


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

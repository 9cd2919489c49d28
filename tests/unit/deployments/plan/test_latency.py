"""Latency of recipes on simulated time, against the sum of their layers."""

import pytest

from deployments.model_shape import ModelShape
from deployments.plan.latency import Latency, latencies
from deployments.plan.roofline import Roofline
from serving.recipes import load_recipes

TEAM = {"proposers": ("a", "b"), "aggregator": "a", "solo": "a", "judge": "a"}
SHAPE = ModelShape(parameters=10_000_000_000, layers=1, kv_heads=1, head_dim=1, weight_bits=8)
# `a` takes 10 ms for a token, `b` 5 ms; prompts take so little time that only the layers' answers count.
ROOFLINES = {"a": Roofline(SHAPE, 1e12, 1e18), "b": Roofline(SHAPE, 2e12, 1e18)}
ANSWER_S = 0.99  # of `a`: 100 tokens, the first of which comes with the prompt


def found(*recipes: object, batch: int = 1) -> dict[str, Latency]:
    loaded = load_recipes(recipes, TEAM)
    return latencies(loaded, ROOFLINES, prompt_tokens=10, answer_tokens=100, batch=batch)


@pytest.mark.parametrize(("recipe", "layers_before"), [("moa-lite", 1), ("moa", 2)])
def test_the_first_token_comes_after_all_layers_before_the_last(recipe: str, layers_before: int) -> None:
    latency = found(recipe)[recipe]
    assert latency.ttft_s == pytest.approx(layers_before * ANSWER_S, abs=0.05)
    assert latency.answer_s == pytest.approx((layers_before + 1) * ANSWER_S, abs=0.05)


def test_a_model_alone_takes_the_time_of_its_roofline() -> None:
    latency = found("moa-lite")["b"]
    assert (latency.ttft_s, latency.answer_s) == pytest.approx(ROOFLINES["b"].answer_s(10, 100, calls=1), rel=0.01)


def test_an_answer_that_is_chosen_comes_at_once() -> None:
    latency = found("vote")["vote"]
    assert latency.ttft_s == latency.answer_s == pytest.approx(ANSWER_S, abs=0.05)


def test_proposers_that_are_asked_one_after_the_other_add_up() -> None:
    assert found({"preset": "adaptive", "start": 1})["adaptive"].ttft_s == pytest.approx(1.5 * ANSWER_S, abs=0.05)


def test_a_straggler_is_waited_for_no_longer_than_its_grace() -> None:
    patient, hasty = {"preset": "moa-lite"}, {"preset": "moa-lite", "id": "hasty", "straggler_grace_s": 0.1}
    latency = found(patient, hasty)
    assert (latency["moa-lite"].stragglers, latency["hasty"].stragglers) == ((), ("a",))
    assert latency["hasty"].ttft_s == pytest.approx(latency["moa-lite"].ttft_s - ANSWER_S / 2 + 0.1, abs=0.05)


def test_calls_of_one_layer_share_their_replica() -> None:
    # Two GB of cache for each token: two answers at once read twice as much as one.
    shape = ModelShape(parameters=1, layers=1, kv_heads=1, head_dim=500_000_000, weight_bits=8)
    rooflines = {"a": Roofline(shape, 1e12, 1e18), "b": Roofline(shape, 1e12, 1e18)}
    same, other = (
        {"preset": "moa-lite", "id": name, "layers": [list(team)]} for name, team in (("same", "aa"), ("other", "ab"))
    )
    found = latencies(load_recipes([same, other], TEAM), rooflines, prompt_tokens=10, answer_tokens=100)
    assert found["same"].ttft_s == pytest.approx(2 * found["other"].ttft_s, rel=0.05)


def test_calls_of_an_adapter_share_the_replica_of_its_model() -> None:
    shape = ModelShape(parameters=1, layers=1, kv_heads=1, head_dim=500_000_000, weight_bits=8)
    rooflines = {"a": Roofline(shape, 1e12, 1e18)}
    plain, lora = (
        {"preset": "moa-lite", "id": name, "layers": [["a", other]]} for name, other in (("plain", "a"), ("lora", "x"))
    )
    loaded = load_recipes([plain, lora], TEAM)
    found = latencies(loaded, rooflines, prompt_tokens=10, answer_tokens=100, parents={"x": "a"})
    assert found["lora"].ttft_s == pytest.approx(found["plain"].ttft_s, rel=0.05)
    assert set(found) == {"plain", "lora", "a"}


def test_other_requests_make_a_token_slower() -> None:
    busy = [Roofline(SHAPE, 1e12, 1e14)]
    alone, shared = (
        latencies({}, {"a": busy[0]}, prompt_tokens=1000, answer_tokens=100, batch=batch)["a"] for batch in (1, 32)
    )
    assert (alone.ttft_s, alone.answer_s) == pytest.approx(busy[0].answer_s(1000, 100, calls=1), rel=0.01)
    assert (shared.ttft_s, shared.answer_s) == pytest.approx(busy[0].answer_s(1000, 100, calls=32), rel=0.01)
    assert shared.answer_s > 2 * alone.answer_s

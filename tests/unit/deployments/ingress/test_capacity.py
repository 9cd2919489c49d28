"""The number of admitted requests follows from the engines' capacity."""

from typing import Any

import pytest

from deployments.config import OrchestratorSpec, Profile
from deployments.external_spec import ExternalSpec
from deployments.ingress.capacity import QUEUE, max_in_flight
from deployments.model_spec import ModelSpec, Replicas
from serving.recipes import load_recipes

TEAM = {"id": "team", "layers": [["a", "b"]], "aggregator": "a"}
SELF = {"id": "self", "strategy": "self_moa", "proposer": "a", "aggregator": "a", "samples": 6}
FAR = ExternalSpec(id="far", base_url="http://far/v1", context_tokens=8)


def model(name: str, *, max_replicas: int = 1, **kwargs: Any) -> ModelSpec:
    engine_kwargs = {"max_model_len": 8, "max_num_seqs": 32, **kwargs}
    return ModelSpec(id=name, source="s", engine_kwargs=engine_kwargs, replicas=Replicas(max=max_replicas))


@pytest.mark.parametrize(
    ("models", "recipes", "replicas", "requests"),
    [
        ([model("a"), model("b")], [TEAM], 1, 16),  # `a` has two calls of each request
        ([model("a", max_replicas=3), model("b")], [TEAM], 1, 32),  # now `b` decides
        ([model("a"), model("b")], [TEAM, SELF], 2, 8),
        ([model("a")], [SELF], 1, 4),  # seven calls, all of them of `a`
        ([model("a"), model("b", max_num_seqs=8)], [], 1, 8),
        ([model("a", max_num_seqs=100_000)], [], 1, 1024),  # the replica's own limit
        ([model("a", max_num_seqs=1)], [SELF], 1, 0.25),  # at least one
    ],
)
def test_the_model_with_the_fewest_slots_per_call_decides(
    models: list[ModelSpec], recipes: list[dict[str, Any]], replicas: int, requests: float
) -> None:
    orchestrator = OrchestratorSpec(replicas=Replicas(min=replicas, max=9))
    profile = Profile(name="p", models=tuple(models), orchestrator=orchestrator)
    assert max_in_flight(profile, load_recipes(recipes)) == requests * QUEUE


def test_a_recipe_of_external_models_has_no_limit() -> None:
    profile = Profile(name="p", models=(model("a"),), external=(FAR,))
    far = {"id": "far-away", "layers": [["far"]], "aggregator": "far"}
    assert max_in_flight(profile, load_recipes([far])) is None
    half = {"id": "half", "layers": [["far", "a"]], "aggregator": "far"}
    assert max_in_flight(profile, load_recipes([half])) == 32 * QUEUE

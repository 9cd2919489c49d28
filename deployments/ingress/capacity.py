"""Default number of requests that one orchestrator replica admits at once."""

from collections import Counter
from collections.abc import Mapping

from deployments.config import Profile
from deployments.model_spec import ModelSpec
from serving.recipes import Recipe
from serving.types import Sampling

# Requests admitted per request that the engines can compute at once: a request's calls come one layer after the other,
# and an engine should never have to wait for the next request.
QUEUE = 4
MAX_NUM_SEQS = 256  # assumed if engine_kwargs has none: vLLM's default on GPUs below 70 GB


def slots(model: ModelSpec) -> int:
    """Sequences that all replicas of a model compute at once."""
    per_replica = min(int(model.engine_kwargs.get("max_num_seqs") or MAX_NUM_SEQS), model.max_ongoing_requests)
    return per_replica * (model.replicas.max or model.replicas.min)


def max_in_flight(profile: Profile, recipes: Mapping[str, Recipe]) -> int | None:
    """Requests of the profile's first recipe that one orchestrator replica admits. None: no engine here limits them.

    The model with the fewest slots per call decides. Models count with their maximum number of replicas, orchestrators
    with their minimum, so that no request is refused that the engines could take.
    """
    if not profile.models:
        return None  # all are external
    generating = [model for model in profile.models if model.generates]
    model_slots = {model.id: slots(model) for model in generating or profile.models}
    requests = min(model_slots.values())  # without a recipe: one call each, of the smallest model
    if (recipe := next(iter(recipes.values()), None)) is not None:
        agents = Counter(profile.base_of(agent.model) for agent in recipe.agents())
        local = agents.keys() & model_slots.keys()
        if not local:
            return None  # all its models are external, or it delegates to recipes chosen by the request
        # A recipe lists an agent once even if it calls it several times.
        calls_per_agent = max(recipe.cost(Sampling(), recipes).calls / agents.total(), 1.0)
        requests = min(int(model_slots[model] / (agents[model] * calls_per_agent)) for model in local)
    return max(requests * QUEUE // profile.orchestrator.replicas.min, 1)

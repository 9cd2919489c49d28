"""How many requests one orchestrator replica works on at once, where the profile does not say."""

from collections import Counter
from collections.abc import Mapping

from deployments.config import ModelSpec, Profile
from serving.recipes import Recipe
from serving.types import Sampling

# For every request that the engines could compute at once there may be so many in all: the calls of one request come
# one layer after the other, and an engine should never have to wait for the next request.
QUEUE = 4
MAX_NUM_SEQS = 256  # vLLM's own, where engine_kwargs does not say


def slots(model: ModelSpec) -> int:
    """Sequences that all of a model's replicas compute at once."""
    each = min(int(model.engine_kwargs.get("max_num_seqs") or MAX_NUM_SEQS), model.max_ongoing_requests)
    return each * (model.replicas.max or model.replicas.min)


def max_in_flight(profile: Profile, recipes: Mapping[str, Recipe]) -> int | None:
    """What the profile's engines hold of its first recipe, for each orchestrator; `None`: nothing here limits it.

    The model with the fewest slots for its calls decides. Models are reckoned with all replicas they may get, but
    orchestrators with those there always are: more of them must not turn away what the engines could take.
    """
    holding = {model.id: slots(model) for model in profile.models}
    requests = min(holding.values())  # without a recipe: of the smallest model, one call each
    if (recipe := next(iter(recipes.values()), None)) is not None:
        agents = Counter(agent.model for agent in recipe.agents())
        local = agents.keys() & holding.keys()
        if not local:
            return None  # it stands on other servers alone, or hands over to what a request decides
        # A recipe names an agent once that it asks several times.
        calls_per_agent = max(recipe.cost(Sampling(), recipes).calls / agents.total(), 1.0)
        requests = min(int(holding[model] / (agents[model] * calls_per_agent)) for model in local)
    return max(requests * QUEUE // profile.orchestrator.replicas.min, 1)

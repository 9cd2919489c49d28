"""What can be found wrong with a profile before anything is started."""

from deployments.config import Profile
from deployments.plan.engine_options import check_engine_options
from deployments.plan.memory import check_sizes
from deployments.plan.worst_case import check_contexts
from serving.engine import EngineInfo
from serving.errors import ConfigError
from serving.orchestrator import check_recipes
from serving.recipes import Recipe, load_recipes


def check_profile(profile: Profile) -> dict[str, Recipe]:
    """The profile's recipes, all of which can work.

    Raises:
        ConfigError: a recipe is wrong, names a missing model, or needs more context than its models have, or more of
            a request than the limits allow; vLLM knows no such option; weights that should be local are not there, or
            do not fit.
    """
    recipes = load_recipes(profile.recipes, profile.team)
    models = {model.id: EngineInfo() for model in profile.models}
    models |= {model.id: EngineInfo(unsupported=frozenset(model.unsupported)) for model in profile.external}
    check_recipes(models, recipes, profile.orchestrator.limits)
    for model in profile.models:
        if model.source.startswith((".", "/", "models/")) and model.path is None:
            raise ConfigError(f"The weights of '{model.id}' are not in '{model.source}'; correct its source.")
        check_engine_options(model)
        check_sizes(model)
    check_contexts(profile, recipes)
    return recipes

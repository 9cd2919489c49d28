"""Checks of a profile that need no engine."""

from deployments.config import Profile
from deployments.plan.engine_options import check_engine_options, check_modalities, check_parsers
from deployments.plan.memory import check_sizes
from deployments.plan.worst_case import check_contexts
from serving.api.aliases import check_aliases
from serving.engine import EngineInfo
from serving.errors import ConfigError
from serving.orchestrator import check_recipes
from serving.recipes import Recipe, load_recipes


def check_profile(profile: Profile) -> dict[str, Recipe]:
    """Check the profile and return its recipes by id.

    Raises:
        ConfigError: a recipe is wrong, uses a missing model or one that generates no text, needs more context than its
            models have or more calls than the limits allow; an alias has no target; vLLM lacks an option or a parser; a
            model is to read images and has no vision part; local weights are missing or do not fit.
    """
    recipes = load_recipes(profile.recipes, profile.team)
    models = {
        model.id: EngineInfo(tools=model.accepts_tools, thinking=model.thinks, modalities=model.modalities)
        for model in profile.models
        if model.generates
    }
    models |= {
        model.id: EngineInfo(unsupported=frozenset(model.unsupported), modalities=model.modalities)
        for model in profile.external
    }
    pooling = [model.id for model in profile.pooling]
    check_recipes(models, recipes, profile.orchestrator.limits, pooling)
    check_aliases(profile.api.aliases, [*recipes, *models, *pooling])
    for model in profile.models:
        if model.fetch_command is not None and model.path is None:
            raise ConfigError(f"The weights of '{model.id}' are not there yet; run: {model.fetch_command}")
        if model.source.startswith((".", "/", "models/")) and model.path is None:
            raise ConfigError(
                f"The folder '{model.source}' with the weights of '{model.id}' does not exist; correct its source."
            )
        check_engine_options(model)
        check_parsers(model)
        check_modalities(model)
        check_sizes(model)
    check_contexts(profile, recipes)
    return recipes

"""Checks of a profile that need no engine."""

from deployments.adapters import check_adapters, local_folders
from deployments.config import Profile
from deployments.plan.engine_options import check_engine_options, check_modalities, check_parsers
from deployments.plan.memory import check_sizes
from deployments.plan.worst_case import check_contexts
from deployments.weights import check_weights
from serving.api.aliases import check_aliases
from serving.engine import EngineInfo
from serving.orchestrator import check_recipes
from serving.recipes import Recipe, load_recipes


def check_profile(profile: Profile, *, weights_here: bool = True, contexts: bool = True) -> dict[str, Recipe]:
    """Check the profile and return its recipes by id.

    Args:
        profile: The profile to be served.
        weights_here: This machine loads the weights. False: other nodes do, on which they may be mounted, so that each
            replica checks its own at its start.
        contexts: Count the tokens of the longest prompts, for which local tokenizers are loaded: imports transformers.

    Raises:
        ConfigError: a recipe is wrong, uses a missing model or one that generates no text, needs more context than its
            models have or more calls than the limits allow; an alias has no target; vLLM lacks an option or a parser; a
            model is to read images and has no vision part; local weights or adapters are missing or do not fit.
    """
    recipes = load_recipes(profile.recipes, profile.team)
    models = {
        model.id: EngineInfo(
            unsupported=model.unsupported,
            tools=model.accepts_tools,
            thinking=model.thinks,
            modalities=model.modalities,
        )
        for model in profile.generating
    }
    models |= {
        model.id: EngineInfo(unsupported=model.unsupported_abilities, modalities=model.modalities)
        for model in profile.external
    }
    pooling = [model.id for model in profile.pooling]
    check_recipes(models, recipes, profile.orchestrator.limits, pooling)
    check_aliases(profile.api.aliases, [*recipes, *models, *pooling])
    for model in profile.models:
        if weights_here:
            check_weights(model)
            check_adapters(model, local_folders(model))
        check_engine_options(model)
        check_parsers(model)
        check_modalities(model)
        check_sizes(model)
    if contexts:
        check_contexts(profile, recipes)
    return recipes

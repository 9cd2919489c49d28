"""Runs recipes over engines: every model and every recipe becomes one engine under its id."""

from collections.abc import Mapping
from functools import partial

from serving.engine import Engine, EngineInfo
from serving.engines.model import ModelEngine
from serving.engines.observed import ObservedEngine
from serving.engines.recipe import RecipeEngine
from serving.errors import ConfigError, LimitExceeded
from serving.recipes import Recipe
from serving.recipes.base import lacking
from serving.recipes.cost import Limits, token_cap
from serving.recipes.tools import lacking_voters
from serving.runtime.call import Runtime
from serving.runtime.hedging import HedgeBudget
from serving.runtime.policy import NEXT_TURN_PREFILL_S
from serving.telemetry import Observer
from serving.types import ModelCard, Sampling


class Orchestrator:
    """`engines` maps every model id and every recipe id to the engine that answers.

    Raises:
        ConfigError: a recipe names a model that is not served, has a model's id, or needs more than `limits` allow.
    """

    def __init__(
        self,
        models: Mapping[str, Engine],
        recipes: Mapping[str, Recipe],
        limits: Limits | None = None,
        observer: Observer | None = None,
        *,
        next_turn_prefill_s: float = NEXT_TURN_PREFILL_S,
    ) -> None:
        """Serve `models` and `recipes`, both by id. `next_turn_prefill_s`: of single models; recipes have their own."""
        self.limits = limits or Limits()
        caps = check_recipes({name: engine.info for name, engine in models.items()}, recipes, self.limits)
        self.observer = observer or Observer()
        self.runtime = Runtime(dict(models), self.observer, HedgeBudget(self.limits.hedge_share))
        self.recipes = dict(recipes)
        self.engines: dict[str, Engine] = {
            **{
                name: ObservedEngine(
                    name, "model", ModelEngine(name, engine, self.runtime, next_turn_prefill_s), self.observer
                )
                for name, engine in models.items()
            },
            **{
                name: ObservedEngine(
                    name, "recipe", RecipeEngine(name, recipes, self.runtime, self.limits, caps), self.observer
                )
                for name in recipes
            },
        }

    def cards(self) -> list[ModelCard]:
        """Entries of `/v1/models`: recipes first, then models. A recipe's context is the smallest of its models."""
        contexts = {
            name: tokens
            for name, engine in self.runtime.engines.items()
            if (tokens := engine.info.context_tokens) is not None
        }
        recipes = [
            ModelCard(
                name,
                "recipe",
                min((contexts[model] for model in recipe.models() if model in contexts), default=None),
                recipe.description,
                self.engines[name].info.modalities,
            )
            for name, recipe in self.recipes.items()
        ]
        return recipes + [
            ModelCard(name, "model", contexts.get(name), modalities=engine.info.modalities)
            for name, engine in self.runtime.engines.items()
        ]


def check_recipes(
    models: Mapping[str, EngineInfo], recipes: Mapping[str, Recipe], limits: Limits
) -> dict[str, int | None]:
    """Check that every recipe can work with `models`, given by id, and within `limits`.

    Returns:
        Token cap of each recipe, by id, for requests without `max_tokens`; see `token_cap`.

    Raises:
        ConfigError: it cannot, with the recipe and the change that helps.
    """
    for name, recipe in recipes.items():
        if name in models:
            raise ConfigError(f"'{name}' is the id of a model and of a recipe; rename the recipe.")
        served = ", ".join(sorted(models)) or "none"
        if missing := sorted(recipe.models() - set(models)):
            raise ConfigError(
                f"The recipe '{name}' needs the model '{missing[0]}', which the profile does not serve ({served});"
                " add the model or change the recipe."
            )
        if missing := sorted(recipe.delegates() - set(models) - set(recipes)):
            raise ConfigError(
                f"The recipe '{name}' delegates to '{missing[0]}', which is neither a model nor a recipe."
            )
        for model, ability in lacking(recipe, models):
            raise ConfigError(f"The recipe '{name}' requires {ability} of '{model}', which does not support it.")
        if not recipe.picks and (why := lacking_voters(recipe, models)) is not None:
            raise ConfigError(f"The recipe '{name}' cannot vote on tool calls: {why}.")
    for name in recipes:
        _refuse_recursion(name, (), recipes)
    caps: dict[str, int | None] = {}
    for name, recipe in recipes.items():
        try:
            caps[name] = token_cap(partial(recipe.cost, recipes=recipes), Sampling(), limits)
        except LimitExceeded as error:
            raise ConfigError(
                f"The recipe '{name}' needs {error.needed} {error.resource} per request, but"
                f" orchestrator.limits.max_{error.resource} is {error.allowed}; raise it or change the recipe."
            ) from None
    return caps


def _refuse_recursion(name: str, above: tuple[str, ...], recipes: Mapping[str, Recipe]) -> None:
    if name in above:
        raise ConfigError(f"Recipes delegate in a circle: {' -> '.join((*above, name))}; break it.")
    for delegate in recipes[name].delegates() & set(recipes):
        _refuse_recursion(delegate, (*above, name), recipes)

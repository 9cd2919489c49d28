"""Runs recipes over engines: every model and every recipe becomes one engine under its id."""

from collections.abc import Mapping
from functools import partial

from serving.engine import Engine
from serving.engines.model import PlainModel
from serving.engines.observed import ObservedEngine
from serving.engines.recipe import RecipeEngine
from serving.errors import ConfigError, LimitExceeded
from serving.recipes import Recipe
from serving.recipes.base import lacking
from serving.recipes.cost import Limits, bounded
from serving.runtime.call import Runtime
from serving.runtime.hedging import HedgeBudget
from serving.telemetry import Observer
from serving.types import ModelCard, Sampling


class Orchestrator:
    """`engines` maps every model id and every recipe id to something that answers.

    `contexts`: tokens that a model's context holds, by id; an engine with a field `context_tokens` tells it itself.

    Raises:
        ConfigError: a recipe names a model that is not served, has a model's id, or needs more than `limits` allow.
    """

    def __init__(
        self,
        models: Mapping[str, Engine],
        recipes: Mapping[str, Recipe],
        limits: Limits | None = None,
        observer: Observer | None = None,
        contexts: Mapping[str, int] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        check_recipes(models, recipes, self.limits)
        self.observer = observer or Observer()
        budget = HedgeBudget(self.limits.hedge_share)
        self.runtime = Runtime(dict(models), self.observer, budget, contexts=contexts or {})
        self.recipes = dict(recipes)
        self.engines: dict[str, Engine] = {
            **{
                name: ObservedEngine(name, "model", PlainModel(name, engine, self.runtime.shared), self.observer)
                for name, engine in models.items()
            },
            **{
                name: ObservedEngine(
                    name, "recipe", RecipeEngine(name, recipes, self.runtime, self.limits), self.observer
                )
                for name in recipes
            },
        }

    def cards(self, context_tokens: Mapping[str, int]) -> list[ModelCard]:
        """What `/v1/models` lists: recipes first, then models. A recipe's context is its aggregator's at most."""
        recipes = [
            ModelCard(
                name,
                "recipe",
                min((context_tokens[model] for model in recipe.models() if model in context_tokens), default=None),
                recipe.description,
            )
            for name, recipe in self.recipes.items()
        ]
        return recipes + [ModelCard(name, "model", context_tokens.get(name)) for name in self.runtime.engines]


def check_recipes(models: Mapping[str, object], recipes: Mapping[str, Recipe], limits: Limits | None = None) -> None:
    """Raise `ConfigError` where a recipe cannot work with these models, or never within these limits.

    `models`: by id, the engine, its description, or None; `unsupported` names what it cannot do.
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
                f"The recipe '{name}' hands over to '{missing[0]}', which is neither a model nor a recipe."
            )
        for model, ability in lacking(recipe, models):
            raise ConfigError(f"The recipe '{name}' needs {ability} of '{model}', which cannot give them.")
    for name in recipes:
        _refuse_recursion(name, (), recipes)
    for name, recipe in recipes.items() if limits else ():
        try:
            bounded(partial(recipe.cost, recipes=recipes), Sampling(), limits or Limits())
        except LimitExceeded as error:
            what, needed, allowed = error.args
            raise ConfigError(
                f"The recipe '{name}' needs {needed} {what} a request, but orchestrator.limits.max_{what} is {allowed};"
                " raise it or change the recipe."
            ) from None


def _refuse_recursion(name: str, above: tuple[str, ...], recipes: Mapping[str, Recipe]) -> None:
    if name in above:
        raise ConfigError(f"Recipes hand over in a circle: {' -> '.join((*above, name))}; break it.")
    for delegate in recipes[name].delegates() & set(recipes):
        _refuse_recursion(delegate, (*above, name), recipes)

"""Runs recipes over engines: every model and every recipe becomes one engine under its id."""

from collections.abc import Collection, Mapping

from serving.cards import ModelCard
from serving.engine import Engine, EngineInfo
from serving.engines.model import ModelEngine
from serving.engines.observed import GuardedEngine, ObservedEngine
from serving.engines.observed_pooling import ObservedPoolingEngine
from serving.engines.recipe import RecipeEngine
from serving.engines.traced import TracedModel, TracedRecipe
from serving.engines.traced_pooling import TracedPooling
from serving.errors import ConfigError, LimitExceeded
from serving.pooling import PoolingEngine
from serving.recipes import Recipe
from serving.recipes.base import lacking
from serving.recipes.cost import Limits, token_cap
from serving.recipes.custom import check_custom, checked_cost
from serving.recipes.overrides import override_schemas
from serving.recipes.tools import lacking_voters
from serving.runtime.hedging import HedgeBudget, RetryBudget
from serving.runtime.policy import NEXT_TURN_PREFILL_S
from serving.runtime.shared_state import Runtime
from serving.telemetry import Observer
from serving.tracing.spans import Tracer
from serving.types import Sampling


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
        prices: Mapping[str, tuple[float, float]] | None = None,
        pooling: Mapping[str, PoolingEngine] | None = None,
        retries: RetryBudget | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Serve `models`, `recipes` and the models that embed or rank, all by id.

        Args:
            models: the engines.
            recipes: the recipes.
            limits: of one request.
            observer: receives the events of the metrics.
            next_turn_prefill_s: of single models; recipes have their own.
            prices: per prompt token and per completion token in any one unit, by model id, for small tasks.
            pooling: the engines that embed or rank.
            retries: budget of retries that `models` share; None: one of the orchestrator, by `limits`.
            tracer: starts spans of recipes, agents and calls; None: nothing is traced.
        """
        self.limits = limits or Limits()
        infos = {name: engine.info for name, engine in models.items()}
        caps = check_recipes(infos, recipes, self.limits, pooling or ())
        self.observer = observer or Observer()
        guarded: dict[str, Engine] = {name: GuardedEngine(name, engine) for name, engine in models.items()}
        if tracer is not None:
            guarded = {name: TracedModel(name, engine, tracer) for name, engine in guarded.items()}
        self.runtime = Runtime(
            guarded,
            self.observer,
            HedgeBudget(self.limits.hedge_share),
            retries or RetryBudget(self.limits.retry_share, self.limits.retry_burst),
            prices=dict(prices or {}),
            tracer=tracer,
        )
        self.recipes = dict(recipes)
        answering: dict[str, Engine] = {
            name: RecipeEngine(name, recipes, self.runtime, self.limits, caps) for name in recipes
        }
        if tracer is not None:
            answering = {name: TracedRecipe(name, engine, tracer) for name, engine in answering.items()}
        self.engines: dict[str, Engine] = {
            **{
                name: ObservedEngine(
                    name, "model", ModelEngine(name, engine, self.runtime, next_turn_prefill_s), self.observer
                )
                for name, engine in guarded.items()
            },
            **{name: ObservedEngine(name, "recipe", engine, self.observer) for name, engine in answering.items()},
        }
        ranking: dict[str, PoolingEngine] = dict(pooling or {})
        if tracer is not None:
            ranking = {name: TracedPooling(name, engine, tracer) for name, engine in ranking.items()}
        self.pooling = {name: ObservedPoolingEngine(name, engine, self.observer) for name, engine in ranking.items()}

    def cards(
        self,
        descriptions: Mapping[str, str] | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        parents: Mapping[str, str] | None = None,
    ) -> list[ModelCard]:
        """Entries of `/v1/models`: recipes first, then models. A recipe's context is the smallest of its models.

        Args:
            descriptions: of models, one line by id.
            prices: of models, by id: dollars per million tokens by "prompt" and "completion".
            parents: of LoRA adapters, by id: the model that each changes.
        """
        infos = {name: engine.info for name, engine in self.engines.items()}
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
                thinking=infos[name].thinking,
                tools=infos[name].tools,
                modalities=infos[name].modalities,
                settings=override_schemas(recipe, [*self.runtime.engines]),
            )
            for name, recipe in self.recipes.items()
        ]
        models = [
            ModelCard(
                name,
                "model",
                contexts.get(name),
                (descriptions or {}).get(name, ""),
                thinking=infos[name].thinking,
                tools=infos[name].tools,
                modalities=infos[name].modalities,
                usd_per_million_tokens=(prices or {}).get(name),
                parent=(parents or {}).get(name),
            )
            for name in self.runtime.engines
        ]
        pooling = [
            ModelCard(
                name,
                "model",
                engine.info.context_tokens,
                (descriptions or {}).get(name, ""),
                usd_per_million_tokens=(prices or {}).get(name),
                task=engine.info.task,
            )
            for name, engine in self.pooling.items()
        ]
        return recipes + models + pooling


def check_recipes(
    models: Mapping[str, EngineInfo], recipes: Mapping[str, Recipe], limits: Limits, pooling: Collection[str] = ()
) -> dict[str, int | None]:
    """Check that every recipe can work with `models`, given by id, and within `limits`.

    `pooling` are the ids of models that embed or rank, which no recipe can use.

    Returns:
        Token cap of each recipe, by id, for requests without `max_tokens`; see `token_cap`.

    Raises:
        ConfigError: it cannot, with the recipe and the change that helps.
    """
    for name, recipe in recipes.items():
        check_custom(recipe)
        if name in models or name in pooling:
            raise ConfigError(f"'{name}' is the id of a model and of a recipe; rename the recipe.")
        served = ", ".join(sorted(models)) or "none"
        if unable := sorted((recipe.named_models() | recipe.delegates()) & set(pooling)):
            raise ConfigError(
                f"The recipe '{name}' names '{unable[0]}' as an agent, which generates no text (its task is to embed or"
                f" to rank); choose one of: {served}."
            )
        if missing := sorted(recipe.named_models() - set(models)):
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
            caps[name] = token_cap(checked_cost(recipe, recipes), Sampling(), limits)
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

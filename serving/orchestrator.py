"""Runs recipes over engines: every model and every recipe becomes one engine under its id."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field

from serving.calls import Runtime
from serving.complaints import shown
from serving.dispatch import Dispatcher
from serving.engine import Engine, checked, closing
from serving.errors import ConfigError, InvalidRequest, LimitExceeded, UnsupportedField
from serving.frozen import Frozen
from serving.hedging import HedgeBudget
from serving.ledger import Ledger
from serving.observer import Observer, RequestEnd
from serving.outcome import Outcome
from serving.plain import PlainModel
from serving.recipes import Recipe
from serving.run import Run
from serving.types import Delta, GenerateRequest, ModelCard, Sampling, Timing


class Limits(Frozen):
    """What one request may cost at most; beyond it, 400 before any work."""

    max_calls: int = Field(default=64, ge=1)
    max_tokens: int = Field(
        default=200_000,
        ge=1,
        description="Completion tokens over all agents; those that nothing else bounds share what the others leave.",
    )
    hedge_share: float = Field(default=0.05, ge=0, le=1, description="Hedged second attempts per call, at most.")


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
                name: Watched(name, "model", PlainModel(name, engine, self.runtime.shared), self.observer)
                for name, engine in models.items()
            },
            **{
                name: Watched(name, "recipe", RecipeEngine(name, recipes, self.runtime, self.limits), self.observer)
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

    `models`: by id, whatever tells by a field `lacks` what the model cannot do: an engine, its description, or None.
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
            bounded(recipe, Sampling(), recipes, limits or Limits())
        except LimitExceeded as error:
            what, needed, allowed = error.args
            raise ConfigError(
                f"The recipe '{name}' needs {needed} {what} a request, but orchestrator.limits.max_{what} is {allowed};"
                " raise it or change the recipe."
            ) from None


def bounded(recipe: Recipe, sampling: Sampling, recipes: Mapping[str, Recipe], limits: Limits) -> int | None:
    """What each agent's answer may have at most that nothing else bounds, so that `limits` hold; `None`: all are.

    Raises:
        LimitExceeded: the limits cannot hold.
    """
    cost = recipe.cost(sampling, recipes)
    if cost.calls > limits.max_calls:
        raise LimitExceeded("calls", cost.calls, limits.max_calls)
    if cost.tokens is not None:
        if cost.tokens > limits.max_tokens:
            raise LimitExceeded("tokens", cost.tokens, limits.max_tokens)
        return None

    def tokens(share: int) -> int:
        return recipe.cost(replace(sampling, max_tokens=share), recipes).tokens or 0

    share = bisect_right(range(1, limits.max_tokens + 1), limits.max_tokens, key=tokens)
    if not share:
        raise LimitExceeded("tokens", tokens(1), limits.max_tokens)
    return share


def lacking(recipe: Recipe, models: Mapping[str, object]) -> list[tuple[str, str]]:
    """What the recipe's models cannot do but would have to, as pairs of model and ability."""
    return [
        (model, ability)
        for model, abilities in recipe.needs().items()
        for ability in sorted(abilities & frozenset(getattr(models[model], "lacks", ())))
    ]


def _refuse_recursion(name: str, above: tuple[str, ...], recipes: Mapping[str, Recipe]) -> None:
    if name in above:
        raise ConfigError(f"Recipes hand over in a circle: {' -> '.join((*above, name))}; break it.")
    for delegate in recipes[name].delegates() & set(recipes):
        _refuse_recursion(delegate, (*above, name), recipes)


class RecipeEngine:
    """A recipe as an engine: the streamed answer of a run."""

    def __init__(self, name: str, recipes: Mapping[str, Recipe], runtime: Runtime, limits: Limits) -> None:
        self.name, self.recipes, self.runtime, self.limits = name, recipes, runtime, limits
        self._shares: dict[str, int | None] = {}  # of recipes as they are, for requests without max_tokens

    async def check_health(self) -> None:
        """A recipe answers when its models do; those are checked under their own ids."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The answer, with usage summed over all agents and the report on the terminal delta.

        Raises:
            UnsupportedField: `n` above 1 or `logprobs`: they belong to single models.
            LimitExceeded: more calls or tokens than the operator allows.
            MoaError: see `serving.run.Run`.
        """
        recipe = self._recipe(request)
        request = replace(request, most_tokens=self._checked(recipe, request))
        ledger = Ledger(recipe.id)
        dispatcher = Dispatcher(request, recipe, self.runtime, ledger)
        run = Run(dispatcher, self.recipes)
        first_s: float | None = None
        loop = asyncio.get_running_loop()
        try:
            async with closing(checked(recipe.id, recipe.run(run))) as deltas:
                async for delta in deltas:
                    if first_s is None and delta.text:
                        first_s = loop.time() - dispatcher.started
                    if delta.terminal:
                        timing = Timing(0.0, first_s, loop.time() - dispatcher.started)
                        delta = replace(delta, usage=ledger.usage, report=ledger.report(), timing=timing)
                    yield delta
        finally:
            await dispatcher.close()

    def _recipe(self, request: GenerateRequest) -> Recipe:
        """The recipe as this request wants it, checked against what is served and allowed."""
        name = request.options.get("recipe", self.name)
        if not isinstance(name, str) or name not in self.recipes:
            known = ", ".join(self.recipes)
            raise InvalidRequest(f"Change 'moa.recipe': choose one of {known}, not {shown(name)}.", "moa.recipe")
        recipe = self.recipes[name].overridden(request.options)
        if missing := sorted(recipe.models() - set(self.runtime.engines)):
            served = ", ".join(self.runtime.engines)
            raise InvalidRequest(f"Change 'moa': '{missing[0]}' is not one of the models {served}.", "moa")
        for model, ability in lacking(recipe, self.runtime.engines):
            raise InvalidRequest(f"Change 'moa': '{recipe.id}' needs {ability} of '{model}', which lacks them.", "moa")
        return recipe

    def _checked(self, recipe: Recipe, request: GenerateRequest) -> int | None:
        """The request's `most_tokens`. Raises for what no recipe does, and for what the limits do not allow."""
        why = "it is honoured for single models, not for recipes"
        if request.sampling.n != 1:
            raise UnsupportedField("n", why)
        if request.sampling.logprobs is not None:
            raise UnsupportedField("logprobs", why)
        if recipe is not self.recipes.get(recipe.id) or request.sampling.max_tokens is not None:
            return bounded(recipe, request.sampling, self.recipes, self.limits)
        if recipe.id not in self._shares:  # nothing else of the request changes it
            self._shares[recipe.id] = bounded(recipe, request.sampling, self.recipes, self.limits)
        return self._shares[recipe.id]


class Watched:
    """An engine whose requests are told to an observer."""

    def __init__(self, name: str, kind: Literal["model", "recipe"], engine: Engine, observer: Observer) -> None:
        self.name, self.kind, self.engine, self.observer = name, kind, engine, observer

    async def check_health(self) -> None:
        await self.engine.check_health()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        outcome = Outcome()
        self.observer.request_started(self.name)
        try:
            with outcome:
                async with closing(self.engine.generate(request)) as stream:
                    async for delta in stream:
                        outcome.add(delta)
                        yield delta
        finally:
            self.observer.request_ended(
                RequestEnd(
                    self.name,
                    self.kind,
                    outcome.word,
                    outcome.degraded,
                    outcome.usage,
                    outcome.ttft_s,
                    outcome.total_s,
                )
            )

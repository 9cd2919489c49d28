"""Runs recipes over engines: every model and every recipe becomes one engine under its id."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field

from serving.calls import Runtime
from serving.dispatch import Dispatcher
from serving.engine import Engine, checked, closing
from serving.errors import ConfigError, InvalidRequest, LimitExceeded, MoaError, UnsupportedField
from serving.frozen import Frozen
from serving.hedging import HedgeBudget
from serving.ledger import Ledger
from serving.observer import Observer, RequestEnd
from serving.recipes import Recipe
from serving.run import Run
from serving.types import Delta, GenerateRequest, ModelCard, Timing, TokenUsage


class Limits(Frozen):
    """What one request may cost at most; beyond it, 400 before any work."""

    max_calls: int = Field(default=64, ge=1)
    max_tokens: int = Field(default=200_000, ge=1, description="Completion tokens over all agents, where bounded.")
    hedge_share: float = Field(default=0.05, ge=0, le=1, description="Hedged second attempts per call, at most.")


class Orchestrator:
    """`engines` maps every model id and every recipe id to something that answers.

    Raises:
        ConfigError: a recipe names a model that is not served, or has a model's id.
    """

    def __init__(
        self,
        models: Mapping[str, Engine],
        recipes: Mapping[str, Recipe],
        limits: Limits | None = None,
        observer: Observer | None = None,
    ) -> None:
        check_recipes(models, recipes)
        self.limits = limits or Limits()
        self.observer = observer or Observer()
        self.runtime = Runtime(dict(models), self.observer, HedgeBudget(self.limits.hedge_share))
        self.recipes = dict(recipes)
        self.engines: dict[str, Engine] = {
            **{name: Watched(name, "model", engine, self.observer) for name, engine in models.items()},
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


def check_recipes(models: Mapping[str, object], recipes: Mapping[str, Recipe]) -> None:
    """Raise `ConfigError` where a recipe cannot work with these models.

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
        for model, abilities in recipe.needs().items():
            if lacking := sorted(abilities & frozenset(getattr(models[model], "lacks", ()))):
                raise ConfigError(f"The recipe '{name}' needs {lacking[0]} of '{model}', which cannot give them.")
    for name in recipes:
        _refuse_recursion(name, (), recipes)


def _refuse_recursion(name: str, above: tuple[str, ...], recipes: Mapping[str, Recipe]) -> None:
    if name in above:
        raise ConfigError(f"Recipes hand over in a circle: {' -> '.join((*above, name))}; break it.")
    for delegate in recipes[name].delegates() & set(recipes):
        _refuse_recursion(delegate, (*above, name), recipes)


class RecipeEngine:
    """A recipe as an engine: the streamed answer of a run."""

    def __init__(self, name: str, recipes: Mapping[str, Recipe], runtime: Runtime, limits: Limits) -> None:
        self.name, self.recipes, self.runtime, self.limits = name, recipes, runtime, limits

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
        if name not in self.recipes:
            raise InvalidRequest(
                f"Change 'moa.recipe': choose one of {', '.join(self.recipes)}, not '{name}'.", "moa.recipe"
            )
        recipe = self.recipes[name].overridden(request.options)
        if missing := sorted(recipe.models() - set(self.runtime.engines)):
            served = ", ".join(self.runtime.engines)
            raise InvalidRequest(f"Change 'moa': '{missing[0]}' is not one of the models {served}.", "moa")
        self._check(recipe, request)
        return recipe

    def _check(self, recipe: Recipe, request: GenerateRequest) -> None:
        why = "it is honoured for single models, not for recipes"
        if request.sampling.n != 1:
            raise UnsupportedField("n", why)
        if request.sampling.logprobs is not None:
            raise UnsupportedField("logprobs", why)
        cost = recipe.cost(request.sampling, self.recipes)
        if cost.calls > self.limits.max_calls:
            raise LimitExceeded("calls", cost.calls, self.limits.max_calls)
        if cost.tokens is not None and cost.tokens > self.limits.max_tokens:
            raise LimitExceeded("tokens", cost.tokens, self.limits.max_tokens)


class Watched:
    """An engine whose requests are told to an observer."""

    def __init__(self, name: str, kind: Literal["model", "recipe"], engine: Engine, observer: Observer) -> None:
        self.name, self.kind, self.engine, self.observer = name, kind, engine, observer

    async def check_health(self) -> None:
        await self.engine.check_health()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        ttft_s: float | None = None
        usage: TokenUsage | None = None
        degraded = False
        outcome = "cancelled"
        self.observer.request_started(self.name)
        try:
            async with closing(self.engine.generate(request)) as stream:
                async for delta in stream:
                    if ttft_s is None and delta.text:
                        ttft_s = loop.time() - began
                    if delta.usage is not None:
                        usage, outcome = delta.usage, "ok"
                        degraded = delta.report is not None and delta.report.degraded
                    yield delta
        except MoaError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = MoaError.code
            raise
        finally:
            total_s = loop.time() - began
            end = RequestEnd(self.name, self.kind, outcome, degraded, usage, ttft_s, total_s)
            self.observer.request_ended(end)

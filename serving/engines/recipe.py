"""A recipe as an engine."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from serving.engine import checked
from serving.errors import InvalidRequest, UnsupportedField
from serving.recipes import Recipe
from serving.recipes.base import lacking
from serving.recipes.cost import Limits, bounded
from serving.runtime.call import Runtime
from serving.runtime.context import RunContext
from serving.runtime.report import ReportBuilder
from serving.runtime.run import Run
from serving.types import Delta, GenerateRequest, Timing
from serving.validation import shown


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
            MoaError: see `serving.runtime.run.Run`.
        """
        recipe = self._recipe(request)
        request = replace(request, token_cap=self._checked(recipe, request))
        ledger = ReportBuilder(recipe.id)
        dispatcher = RunContext(request, recipe, self.runtime, ledger)
        run = Run(dispatcher, self.recipes)
        first_s: float | None = None
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(checked(recipe.id, recipe.run(run))) as deltas:
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
        """The request's `token_cap`. Raises for what no recipe does, and for what the limits do not allow."""
        why = "it is honoured for single models, not for recipes"
        if request.sampling.n != 1:
            raise UnsupportedField("n", why)
        if request.sampling.logprobs is not None:
            raise UnsupportedField("logprobs", why)
        if recipe is not self.recipes.get(recipe.id) or request.sampling.max_tokens is not None:
            return bounded(partial(recipe.cost, recipes=self.recipes), request.sampling, self.limits)
        if recipe.id not in self._shares:  # nothing else of the request changes it
            self._shares[recipe.id] = bounded(
                lambda sampling: recipe.cost(sampling, self.recipes), request.sampling, self.limits
            )
        return self._shares[recipe.id]

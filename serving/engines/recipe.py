"""A recipe as an engine."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from serving.cache.digest import digest
from serving.decoding import PLAIN_DECODING
from serving.engine import Engine, EngineInfo, Work
from serving.errors import InvalidRequest, RecipeFailed, UnsupportedField
from serving.failures import engine_failures
from serving.images import readable
from serving.recipes import Recipe
from serving.recipes.base import field_with, lacking
from serving.recipes.cost import Limits, token_cap
from serving.recipes.decoding import check_decoding
from serving.recipes.identity import recipe_identity
from serving.recipes.modalities import modalities_of
from serving.recipes.small_tasks import BEGINNINGS, small_task, small_task_models
from serving.recipes.tools import check_tools, final_models
from serving.runtime.agents import Agent, ThinkingSetting
from serving.runtime.context import RunContext
from serving.runtime.events import RunEvents
from serving.runtime.reasons import SMALL_TASK
from serving.runtime.report import ReportBuilder
from serving.runtime.run import Run, stream_of
from serving.runtime.shared_state import Runtime
from serving.runtime.task import Task
from serving.types import CacheOption, Delta, GenerateRequest, Timing
from serving.validation import shown

MAX_KEPT = 1024  # results by overrides
Key = TypeVar("Key")
Value = TypeVar("Value")


class RecipeEngine(Engine):
    """The streamed answers of one recipe's runs."""

    def __init__(
        self,
        name: str,
        recipes: Mapping[str, Recipe],
        runtime: Runtime,
        limits: Limits,
        caps: Mapping[str, int | None],
    ) -> None:
        """Serve the recipe `name` of `recipes` over the engines of `runtime`.

        `caps`: token caps of the recipes by id, for requests without `max_tokens` and overrides: no other field
        changes them.
        """
        self.name, self.recipes, self.runtime, self.limits = name, recipes, runtime, limits
        self._caps = caps
        self._info = self._abilities()
        self._identities: OrderedDict[tuple[str, str], str] = OrderedDict()  # by `_changed`
        self._works: OrderedDict[tuple[str, str, int | None], Work] = OrderedDict()  # by `_changed` and `max_tokens`

    @property
    def info(self) -> EngineInfo:
        return self._info

    def _abilities(self) -> EngineInfo:
        """Abilities of the recipe: tools and thinking are those of the models that may write its answer.

        Its modalities are those of any of its models: one that sees tells the others what it sees.
        """

        def able(ability: str, *, tools: bool) -> bool:
            models = final_models(self.name, self.recipes, tools=tools)
            return any(getattr(self.runtime.engines[model].info, ability) for model in models)

        models = {name: engine.info for name, engine in self.runtime.engines.items()}
        return EngineInfo(
            tools=able("tools", tools=True),
            thinking=able("thinking", tools=False),
            modalities=modalities_of(self.name, self.recipes, models),
        )

    def caching(self, request: GenerateRequest) -> CacheOption | None:
        recipe = self.recipes.get(request.moa.recipe or self.name)
        return None if recipe is None or recipe.cache is None else CacheOption(recipe.cache.ttl_s)

    def identity(self, request: GenerateRequest) -> str:
        """Digest of the recipe as overridden, with all that it may ask. Raises as `generate` for wrong overrides."""

        def compute() -> str:
            with engine_failures(self.name, RecipeFailed):
                recipe = self._recipe(request)
                infos = {name: engine.info for name, engine in self.runtime.engines.items()}
                return recipe_identity(recipe, self.recipes, infos, self.runtime.prices, self.limits)

        return _kept(self._identities, self._changed(request), compute)

    def work(self, request: GenerateRequest) -> Work:
        """Calls and completion tokens by the recipe's `cost`. Raises as `generate` for wrong overrides and limits."""

        def compute() -> Work:
            with engine_failures(self.name, RecipeFailed):
                recipe = self._recipe(request)
                sampling = request.sampling
                if (cap := self._token_cap(recipe, request)) is not None:
                    contexts = [engine.info.context_tokens or cap for engine in self.runtime.engines.values()]
                    sampling = replace(sampling, max_tokens=min(cap, max(contexts)))
                cost = recipe.cost(sampling, recipes=self.recipes)
            return Work(cost.calls, cost.tokens)

        return _kept(self._works, (*self._changed(request), request.sampling.max_tokens), compute)

    def _changed(self, request: GenerateRequest) -> tuple[str, str]:
        """Id of the recipe that a request chooses, and digest of its overrides."""
        name = self.name if request.moa.recipe is None else request.moa.recipe
        return name, digest(request.moa.overrides) if request.moa.overrides else ""

    async def check_health(self) -> None:
        """Return at once: a recipe answers when its models do, which are checked under their own ids."""

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Stream the answer, with usage summed over all agents and the report on the terminal delta.

        The report has the usage of the call that wrote the answer, too.
        If the request asks for events, they are between the deltas, as `serving.events.EventDelta`.

        Raises:
            UnsupportedField: `n` above 1 or `logprobs`, which single models support; `tools` that no agent could call;
                token ids for an answer that one of several models writes; a message that it cannot continue.
            LimitExceeded: more calls or tokens than the operator allows.
            MoaError: see `serving.runtime.run.Run`.
        """
        detail = "text" if request.moa.show_reasoning or request.moa.preview else request.moa.events
        if detail is None:
            return self._answer(request, None)
        events = RunEvents(detail)
        return events.merged(self._answer(request, events))

    async def _answer(self, request: GenerateRequest, events: RunEvents | None) -> AsyncGenerator[Delta, None]:
        with engine_failures(self.name, RecipeFailed):  # calls the methods `cost`, `delegates` and `handover`
            recipe = self._recipe(request)
            if request.may_call_tools:
                models = {name: engine.info for name, engine in self.runtime.engines.items()}
                check_tools(recipe.id, {**self.recipes, recipe.id: recipe}, models, request.messages)
            if request.prompt_end != "answer" or request.sampling.decoding != PLAIN_DECODING:
                check_decoding(recipe, self.recipes, request)
            request = replace(request, token_cap=self._token_cap(recipe, request))
        if request.session is not None:
            self.runtime.session_tasks.cancel(request.session)
        report = ReportBuilder(recipe.id, on_reason=None if events is None else events.reason_added)
        context = RunContext(request, recipe, self.runtime, report, events)
        if events is not None:
            events.run_started(recipe.id)
        first_s: float | None = None
        loop = asyncio.get_running_loop()
        try:
            begins = bool(request.messages) and request.messages[-1].content.lstrip().startswith(BEGINNINGS)
            kind = small_task(request) if begins and recipe.small_tasks != "team" else None
            with engine_failures(recipe.id, RecipeFailed):
                if kind is None:
                    stream = await stream_of(recipe, Run(context, self.recipes))
                else:
                    stream = await self._one_model(recipe, context, kind)
                async with aclosing(stream) as deltas:
                    async for delta in deltas:
                        if first_s is None and (delta.text or delta.reasoning or delta.tool_calls):
                            first_s = loop.time() - context.started
                        if delta.terminal:
                            if images := request.image_count:
                                report.say_who_saw(images)
                            timing = Timing(0.0, first_s, loop.time() - context.started)
                            delta = replace(delta, usage=report.usage, report=report.report(), timing=timing)
                        elif delta.running_usage is not None and request.running_usage == "team":
                            delta = replace(delta, running_usage=report.usage + delta.running_usage)
                        yield delta
        finally:
            await context.close()

    async def _one_model(self, recipe: Recipe, context: RunContext, kind: str) -> AsyncGenerator[Delta, None]:
        """Stream of the answer to a small task: of one model, without thinking, sampled as without the recipe."""
        model, *others = small_task_models(recipe, self.recipes, self.runtime.prices)
        context.report.note(SMALL_TASK(kind=kind, model=model))
        plain = replace(context, policy=context.policy.model_copy(update={"temperature": None}))
        agent, *fallbacks = (Agent(model=name, thinking=ThinkingSetting(enabled=False)) for name in (model, *others))
        return Run(plain, self.recipes).answer(agent, Task(role="small_task"), fallbacks=fallbacks)

    async def count_tokens(self, request: GenerateRequest) -> int:
        """Length of the conversation as the final agent's model counts it, without what the recipe adds to its prompt.

        The largest count, if one of several models may write the answer. Raises as the models' `count_tokens`.
        """
        models = final_models(self.name, self.recipes, tools=request.may_call_tools)
        if not models:  # the answer is one of the proposals
            models = frozenset(agent.model for agent in self.recipes[self.name].proposers_of_all_layers())
        engines = [self.runtime.engines[model] for model in sorted(models)]
        return max(await asyncio.gather(*(one.count_tokens(readable(request, one.info)) for one in engines)))

    def _recipe(self, request: GenerateRequest) -> Recipe:
        """The recipe with the changes of this request, checked against the served models and their abilities."""
        name = self.name if request.moa.recipe is None else request.moa.recipe
        if name not in self.recipes:
            known = ", ".join(self.recipes)
            raise InvalidRequest(f"Change 'moa.recipe': choose one of {known}, not {shown(name)}.", "moa.recipe")
        recipe = self.recipes[name]
        if not request.moa.overrides:
            return recipe
        recipe = recipe.overridden(request.moa.overrides)
        engines = self.runtime.engines
        if missing := sorted(recipe.named_models() - set(engines)):
            served = ", ".join(engines)
            field = field_with(request.moa.overrides, missing[0])
            raise InvalidRequest(f"Change '{field}': '{missing[0]}' is not one of the models {served}.", field)
        for model, ability in lacking(recipe, {name: engine.info for name, engine in engines.items()}):
            raise InvalidRequest(
                f"Change 'moa': '{recipe.id}' requires {ability} of '{model}', which does not support it.", "moa"
            )
        return recipe

    def _token_cap(self, recipe: Recipe, request: GenerateRequest) -> int | None:
        """Token cap of the request. Raises for fields no recipe supports, and for what the limits do not allow."""
        why = "it is supported for single models, not for recipes"
        if request.sampling.n != 1:
            raise UnsupportedField("n", why)
        if request.sampling.logprobs is not None:
            raise UnsupportedField("logprobs", why)
        if request.moa.overrides or request.sampling.max_tokens is not None:
            return token_cap(partial(recipe.cost, recipes=self.recipes), request.sampling, self.limits)
        return self._caps[recipe.id]


def _kept(known: OrderedDict[Key, Value], key: Key, compute: Callable[[], Value]) -> Value:
    """The value of `key`, computed unless it is among the last `MAX_KEPT` that were asked for."""
    if key in known:
        known.move_to_end(key)
        return known[key]
    found = known[key] = compute()
    if len(known) > MAX_KEPT:
        known.popitem(last=False)
    return found

"""Longest prompts of a recipe, found by running it with engines that take its most expensive path.

These engines write as much as they may, are never sure, never agree, accept nothing, and plan as many parts as they
may, each of which builds on all earlier ones. Every route of a recipe that chooses one is run.
"""

import asyncio
import json
import logging
import re
import warnings
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from itertools import count, product

from deployments.config import Profile
from deployments.plan.token_counts import Counter, stand_ins
from serving import failures
from serving.conversation import Message
from serving.engine import Engine, EngineInfo, complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError, MoaError, RecipeFailed
from serving.orchestrator import Orchestrator
from serving.recipes import Recipe
from serving.recipes.cost import Limits
from serving.recipes.custom import is_custom, trial_failure
from serving.recipes.strategies.auto import Auto
from serving.recipes.strategies.plan import SPLIT
from serving.runtime.prompts import prompt_messages
from serving.types import Delta, GenerateRequest, Sampling

UNLIMITED = Limits(max_calls=1_000_000, max_tokens=1_000_000_000)
UNSURE = -20.0  # log probability of every token: below any threshold of a cascade
UNGRADED = 1000  # numbers from here on are neither a grade nor a candidate's position in a verdict
_PLANNING = re.compile(re.escape(SPLIT.partition("{parts}")[0]) + r"(\d+)")


@dataclass(frozen=True, slots=True)
class Prompt:
    """Longest prompt of one agent."""

    recipe: str
    route: str  # the choices of a recipe that chooses
    layer: int
    role: str
    model: str
    prompt_tokens: int
    answer_tokens: int
    exact: bool  # False: prompt_tokens is an estimate


class ExpensiveEngine(Engine):
    """A scripted engine that counts its prompts like its model."""

    def __init__(
        self, model: str, counter: Callable[[Sequence[Message]], int], numbers: Iterator[int], answer_tokens: int
    ) -> None:
        self.counter, self.numbers, self.answer_tokens = counter, numbers, answer_tokens
        self.engine = ScriptedEngine(model, self.write, logprob=UNSURE)

    def write(self, request: GenerateRequest) -> str:
        most = min(request.sampling.max_tokens or self.answer_tokens, self.answer_tokens)
        if planning := _PLANNING.search(request.messages[-1].content):
            parts = min(int(planning[1]), most)
            task = stand_ins(most // parts, next(self.numbers))
            chained = [{"task": task, "after": [*range(1, part)]} for part in range(1, parts + 1)]
            return json.dumps(chained, separators=(",", ":"))
        return stand_ins(most, next(self.numbers))

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    async def check_health(self) -> None:
        await self.engine.check_health()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        async with aclosing(self.engine.generate(request)) as stream:
            async for delta in stream:
                if delta.usage is not None:
                    prompt_tokens = self.counter(prompt_messages(request))
                    delta = replace(delta, usage=replace(delta.usage, prompt_tokens=prompt_tokens))
                yield delta


def longest_prompts(
    recipe: Recipe,
    recipes: Mapping[str, Recipe],
    counters: Mapping[str, Counter],
    *,
    asked_tokens: int,
    answer_tokens: int,
) -> list[Prompt]:
    """Longest prompts of `recipe`; empty for a recipe that cannot be run on such answers.

    Args:
        recipe: the recipe.
        recipes: all recipes of the profile, by id.
        counters: token counters of every model, by id.
        asked_tokens: length of the caller's question.
        answer_tokens: length of the answers of agents without a limit of their own.

    Raises:
        ConfigError: the code of a custom recipe raised an exception, or returned no stream.
    """
    found: list[Prompt] = []
    for route, fixed in routes(recipe, recipes):
        numbers = count(UNGRADED)
        engines = {
            model: ExpensiveEngine(model, counter, numbers, answer_tokens) for model, counter in counters.items()
        }
        question = Message("user", stand_ins(asked_tokens, next(numbers)))
        request = GenerateRequest("plan", (question,), Sampling(temperature=0))
        try:
            asked = Orchestrator(engines, fixed, UNLIMITED).engines[recipe.id]
            with _quiet():
                done = asyncio.run(complete(recipe.id, asked, request))
        except RecipeFailed as error:
            if is_custom(recipes.get(error.model, recipe)):
                raise trial_failure(error) from error
            continue
        except MoaError:
            continue
        assert done.report is not None
        found += [
            Prompt(
                recipe.id,
                route,
                agent.layer,
                agent.role,
                agent.model,
                agent.usage.prompt_tokens or 0,
                agent.usage.completion_tokens or 0,
                counters[agent.model].exact,
            )
            for agent in done.report.agents
        ]
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """No traceback in the log and no warning of Python for a failure that becomes one sentence."""
    log = logging.getLogger(failures.__name__)
    log.addFilter(_refuse_record)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        log.removeFilter(_refuse_record)


def _refuse_record(record: logging.LogRecord) -> bool:
    return False


def routes(recipe: Recipe, recipes: Mapping[str, Recipe]) -> Iterator[tuple[str, Mapping[str, Recipe]]]:
    """Every combination of choices of `recipe`, in words, with the recipes that make exactly these choices."""
    choosing = [one for one in _reachable(recipe, recipes) if isinstance(one, Auto)]
    for chosen in product(*(sorted(one.delegates()) for one in choosing)):
        fixed = {
            one.id: Auto.model_validate({**one.model_dump(), "rules": (), "classifier": None, "otherwise": to})
            for one, to in zip(choosing, chosen, strict=True)
        }
        yield ", ".join(chosen), {**recipes, **fixed}


def _reachable(recipe: Recipe, recipes: Mapping[str, Recipe]) -> list[Recipe]:
    found = {recipe.id: recipe}
    for name in sorted(recipe.delegates() & set(recipes)):
        found.update((one.id, one) for one in _reachable(recipes[name], recipes))
    return [*found.values()]


def counters_of(profile: Profile) -> dict[str, Counter]:
    """Token counters of every model, by id; an adapter has its model's.

    Raises `ConfigError` if a local tokenizer cannot be read.
    """
    bases = [model for model in profile.served if model.id not in profile.parents]
    counters = {model.id: Counter(model) for model in bases}
    return {model.id: counters[profile.base_of(model.id)] for model in profile.served}


def check_contexts(profile: Profile, recipes: Mapping[str, Recipe]) -> None:
    """Check that every model's context holds the longest prompts that a recipe's own limits allow.

    Without such limits references are shortened at run time: then only answers of one token must fit, which is little
    more than the recipe's own instructions. Raises `ConfigError`.
    """
    contexts, counters = profile.contexts, counters_of(profile)
    for recipe in recipes.values():
        limits = [agent.max_tokens or recipe.proposal_max_tokens for agent in recipe.agents()]
        bounded = None not in limits
        most = max((limit for limit in limits if limit), default=1) if bounded else 1
        for prompt in longest_prompts(recipe, recipes, counters, asked_tokens=1, answer_tokens=most):
            if prompt.prompt_tokens + 1 <= contexts[prompt.model]:
                continue
            size = f"{'' if prompt.exact else 'about '}{prompt.prompt_tokens} tokens"
            raise ConfigError(
                f"The recipe '{recipe.id}' gives '{prompt.model}' in layer {prompt.layer} a prompt of"
                + (f" up to {size}" if bounded else f" {size} even if every answer has one token")
                + f", but its context holds {contexts[prompt.model]}; "
                + ("lower proposal_max_tokens, or raise max_model_len." if most > 1 else "raise max_model_len.")
            )

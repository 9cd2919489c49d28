"""Tokens of one answer of each recipe, counted by running the recipe with scripted engines."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from deployments.config import Profile
from deployments.plan.prices import Assumptions
from deployments.plan.worst_case import UNGRADED, UNLIMITED, ExpensiveEngine, routes
from serving.conversation import Message
from serving.engine import Engine, complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import MoaError
from serving.orchestrator import Orchestrator
from serving.recipes import Recipe, load_recipes
from serving.types import GenerateRequest, Sampling

ONE_MODEL = "one model"  # label of the row to compare recipes with
AT_BEST, AT_WORST = ", at best", ", at worst"  # behind the name of a recipe whose calls depend on the answers


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model."""

    prompt_tokens: int
    answer_tokens: int  # of each choice
    choices: int = 1


async def calls_per_answer(profile: Profile, assumed: Assumptions) -> dict[str, dict[str, list[Call]]]:
    """Recipe -> model -> calls of one answer.

    The engines are scripted: each answers with the assumed number of words, and one word counts as one token.
    """
    found: dict[str, dict[str, list[Call]]] = {}
    answer = " ".join(["word"] * assumed.answer_tokens)
    question = Message("user", " ".join(["word"] * assumed.prompt_tokens))
    recipes = load_recipes(profile.recipes, profile.team)
    alone = [ONE_MODEL] if any(model.generates for model in profile.models) else []
    for name in (*recipes, *alone):
        engines = {model.id: ScriptedEngine(model.id, answer) for model in profile.generating}
        orchestrator = Orchestrator(engines, recipes)
        engine_id = aggregator(profile) if name == ONE_MODEL else name
        request = GenerateRequest("cost", (question,), Sampling(max_tokens=assumed.answer_tokens))
        await complete(engine_id, orchestrator.engines[engine_id], request)
        found[name] = _by_base(profile, engines, assumed)
    return found


async def cases_per_answer(profile: Profile, assumed: Assumptions) -> dict[str, dict[str, list[Call]]]:
    """Recipe -> model -> calls of one answer, as `calls_per_answer`, with two rows for a recipe that has two cases.

    At best all models are sure and agree, and the cheapest route is taken. At worst they are never sure and never
    agree, plans have as many parts as they may, and the most expensive route is taken.
    """
    found: dict[str, dict[str, list[Call]]] = {}
    recipes = load_recipes(profile.recipes, profile.team)
    for name, calls in (await calls_per_answer(profile, assumed)).items():
        if name == ONE_MODEL:
            found[name] = calls
            continue
        cases = [calls, *[case async for case in _cases(recipes[name], recipes, profile, assumed)]]
        best, worst = min(cases, key=total_tokens), max(cases, key=total_tokens)
        if total_tokens(best) == total_tokens(worst):
            found[name] = calls
        else:
            found |= {name + AT_BEST: best, name + AT_WORST: worst}
    return found


async def _cases(
    recipe: Recipe, recipes: Mapping[str, Recipe], profile: Profile, assumed: Assumptions
) -> AsyncIterator[dict[str, list[Call]]]:
    """Model -> calls of one answer: by each route, with sure models and with unsure ones."""
    answer = " ".join(["word"] * assumed.answer_tokens)
    question = Message("user", " ".join(["word"] * assumed.prompt_tokens))
    request = GenerateRequest("cost", (question,), Sampling(max_tokens=assumed.answer_tokens))
    for _, fixed in routes(recipe, recipes):
        sure = {model.id: ScriptedEngine(model.id, answer) for model in profile.generating}
        unsure = _unsure(profile, assumed, count(UNGRADED))
        scripted = {name: engine.engine for name, engine in unsure.items()}
        runs: tuple[tuple[Mapping[str, Engine], Mapping[str, ScriptedEngine]], ...] = ((sure, sure), (unsure, scripted))
        for engines, recorded in runs:
            try:
                await complete(recipe.id, Orchestrator(engines, fixed, UNLIMITED).engines[recipe.id], request)
            except MoaError:
                continue  # the recipe cannot use such answers
            yield _by_base(profile, recorded, assumed)


def _unsure(profile: Profile, assumed: Assumptions, numbers: Iterator[int]) -> dict[str, ExpensiveEngine]:
    return {
        model.id: ExpensiveEngine(model.id, lambda _: 0, numbers, assumed.answer_tokens) for model in profile.generating
    }


def _by_base(profile: Profile, engines: Mapping[str, ScriptedEngine], assumed: Assumptions) -> dict[str, list[Call]]:
    """Model -> its recorded calls. An adapter's tokens are computed on the GPUs of its model."""
    found: dict[str, list[Call]] = {}
    for model, engine in engines.items():
        if engine.requests:
            found.setdefault(profile.base_of(model), []).extend(_calls(engine, assumed))
    return found


async def tokens_per_answer(profile: Profile, assumed: Assumptions) -> dict[str, dict[str, tuple[int, int]]]:
    """Recipe -> model -> (prompt tokens, completion tokens) of one answer."""
    found = await calls_per_answer(profile, assumed)
    return {recipe: {model: _tokens(calls) for model, calls in models.items()} for recipe, models in found.items()}


def total_tokens(models: Mapping[str, Sequence[Call]]) -> int:
    """Prompt and completion tokens of all calls."""
    return sum(sum(_tokens(calls)) for calls in models.values())


def _tokens(calls: Sequence[Call]) -> tuple[int, int]:
    return sum(call.prompt_tokens for call in calls), sum(call.choices * call.answer_tokens for call in calls)


def _calls(engine: ScriptedEngine, assumed: Assumptions) -> list[Call]:
    """The engine's calls; prefills save their tokens in these calls."""
    answer_tokens = assumed.answer_tokens
    return [
        Call(
            sum(len(message.content.split()) for message in call.messages),
            min(call.sampling.max_tokens or answer_tokens, answer_tokens),
            call.sampling.n,
        )
        for call in engine.requests
    ]


def aggregator(profile: Profile) -> str:
    """Id of the model that writes the answers of the profile's recipes."""
    first = next((model for model in profile.models if model.generates), profile.models[0])
    named = profile.team.get("aggregator", first.id)
    return named if isinstance(named, str) else named[0]

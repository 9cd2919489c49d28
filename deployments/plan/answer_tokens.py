"""Tokens of one answer of each recipe, counted by running the recipe with scripted engines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deployments.config import Profile
from deployments.plan.prices import Assumptions
from serving.conversation import Message
from serving.engine import complete
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest, Sampling

ONE_MODEL = "one model"  # label of the row to compare recipes with


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
        found[name] = {}
        for model, engine in engines.items():
            if engine.requests:  # an adapter's tokens are computed on the GPUs of its model
                found[name].setdefault(profile.base_of(model), []).extend(_calls(engine))
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


def _calls(engine: ScriptedEngine) -> list[Call]:
    """The engine's calls; prefills save their tokens in these calls."""
    answer_tokens = len(str(engine.answer).split())
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

"""One layer of a recorded run, asked again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from serving.engine import Engine, EngineInfo, complete
from serving.errors import ConfigError, InvalidRequest, MoaError
from serving.recipes import Recipe
from serving.recipes.cost import Limits
from serving.replay.changes import Changes
from serving.replay.rebuilding import Mismatch, rebuilt
from serving.replay.recordings import Recording
from serving.replay.score import Place
from serving.replay.traced import TracedCall
from serving.types import GenerateRequest, MoaOptions
from serving.usage import TokenUsage

Prices = Mapping[str, tuple[float, float]]  # dollars per million prompt and completion tokens, by model
SAME_AGAIN = {"retries": 0, "refill": False, "hedge": False}  # a recorded call is what came of its attempts


@dataclass(frozen=True, slots=True)
class Outcome:
    """An agent's answer, recorded or new. `None` means unknown, never zero."""

    model: str
    text: str
    usage: TokenUsage
    cost_usd: float | None
    seconds: float | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One agent before and after."""

    recording: str  # its name
    layer: int
    agent: int
    role: str
    before: Outcome
    after: Outcome


@dataclass(frozen=True, slots=True)
class Server:
    """Recipes, models and prices of the server that made the recordings."""

    recipes: Mapping[str, Recipe]
    infos: Mapping[str, EngineInfo]
    limits: Limits
    prices: Prices


async def prompts(
    server: Server, recipe_id: str, request: GenerateRequest, recording: Recording, changes: Changes
) -> Mapping[Place, GenerateRequest]:
    """Requests of all agents of the recording, with the changed settings of the recipe.

    Raises:
        Mismatch: the recipe asks or answers in another way than in the recording.
        ConfigError: a changed setting is wrong.
    """
    try:
        recipe = server.recipes[recipe_id].overridden(request.moa.overrides)
    except InvalidRequest as error:
        raise ConfigError(str(error)) from None
    changed = changes.of_recipe(recipe)
    whole = replace(request, stream_interval=None, session=None, moa=MoaOptions())

    async def run(one: Recipe) -> Mapping[Place, GenerateRequest]:
        recipes = {**server.recipes, recipe_id: one.model_copy(update=SAME_AGAIN)}
        found = await rebuilt(recipe_id, recipes, server.infos, server.limits, whole, recording.answer)
        return found.requests

    # Without the changes first: what follows is then due to them alone.
    requests = await run(recipe)
    return await run(changed) if changes.recipe else requests


def problem(recording: Recording) -> str | None:
    """Reason for which a recording cannot be replayed; `None` if it can. Agents that failed fail again."""
    for call in recording.answer.calls:
        if call.called_tools:
            return f"'{call.model}' ({call.role}) called a tool"
        if call.started_ms is None or call.ended_ms is None:
            return f"the times of '{call.model}' ({call.role}) are unknown"
    if len({call.place for call in recording.answer.calls}) < len(recording.answer.calls):
        return "two agents of the trace have the same place, as one took the slot of another"
    return None


def chosen(recording: Recording, layer: int | None, agent: int | None) -> list[TracedCall]:
    """Calls of the layer, by default the last. Raises `ConfigError` if there are none."""
    layers = sorted({call.layer for call in recording.answer.calls})
    wanted = layers[-1] if layer is None else layer
    if wanted not in layers:
        raise ConfigError(f"Set --layer to one of {', '.join(map(str, layers))}: {recording.name} has no other.")
    calls = sorted((call for call in recording.answer.calls if call.layer == wanted), key=lambda call: call.agent)
    if agent is None:
        return calls
    if found := [call for call in calls if call.agent == agent]:
        return found
    agents = ", ".join(str(call.agent) for call in calls)
    raise ConfigError(f"Set --agent to one of {agents}: layer {wanted} of {recording.name} has no other.")


async def compared(
    server: Server,
    engine_of: Callable[[str], Engine],
    recording: Recording,
    requests: Mapping[Place, GenerateRequest],
    calls: Sequence[TracedCall],
    changes: Changes,
    timeout_s: float,
    run: Callable[[Awaitable[Outcome]], Awaitable[Outcome]],
) -> list[Comparison]:
    """Ask the agents of `calls` again, at the same time. Errors are in the outcomes. `run` bounds what runs at a time.

    Raises:
        Mismatch: the repeated run did not ask one of them.
    """
    if missing := [call for call in calls if call.place not in requests]:
        raise Mismatch(f"the agent {missing[0].agent} of layer {missing[0].layer} was not asked again")

    async def one(call: TracedCall) -> Comparison:
        model = changes.model or call.model
        request = replace(changes.request(requests[call.place]), user=None, metadata={})
        after = await run(_asked(engine_of(model), model, request, server.prices, timeout_s))
        return Comparison(recording.name, call.layer, call.agent, call.role, recorded(call, server.prices), after)

    return list(await asyncio.gather(*map(one, calls)))


def recorded(call: TracedCall, prices: Prices) -> Outcome:
    """The recorded call as an outcome."""
    counts = (None, None) if call.sampled_with_another else (call.prompt_tokens, call.completion_tokens)
    usage = TokenUsage(*counts, None, None)
    start_ms, end_ms = call.started_ms, call.ended_ms
    seconds = None if start_ms is None or end_ms is None else (end_ms - start_ms) / 1000
    error = None if call.outcome in ("ok", "empty") else f"ended as '{call.outcome}'"
    return Outcome(call.model, call.text, usage, usage.usd(prices.get(call.model)), seconds, error)


async def _asked(engine: Engine, model: str, request: GenerateRequest, prices: Prices, timeout_s: float) -> Outcome:
    loop = asyncio.get_running_loop()
    began = loop.time()
    unknown = TokenUsage(None, None, None, None)
    try:
        async with asyncio.timeout(timeout_s):
            done = await complete(model, engine, request)
    except TimeoutError:
        return Outcome(model, "", unknown, None, None, f"no answer within {timeout_s:g} s")
    except MoaError as error:
        return Outcome(model, "", unknown, None, None, str(error))
    seconds = loop.time() - began
    return Outcome(model, done.text, done.usage, done.usage.usd(prices.get(model)), seconds)

"""The prompts of a recorded run, rebuilt by a second run of the recipe in which the agents say the same again.

The server's trace has each agent's text, not its prompt. The recipe's own code makes the prompts again here.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from serving.engine import Engine, EngineInfo, complete
from serving.errors import EngineFailed, MoaError
from serving.orchestrator import Orchestrator
from serving.recipes import Recipe
from serving.recipes.cost import Limits
from serving.replay.score import Place, Score
from serving.replay.traced import READY, TracedAnswer, TracedCall
from serving.runtime.single_flight import SingleFlight
from serving.types import Completion, Delta, GenerateRequest
from serving.usage import TokenUsage

TIMEOUT_S = 30.0  # nothing is computed: a run that lasts longer waits for a call that never comes


class Mismatch(Exception):
    """The run cannot be rebuilt; `str(error)` is the reason."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A repeated run."""

    requests: Mapping[Place, GenerateRequest]  # what each agent was asked
    roles: Mapping[Place, str]
    started: tuple[Place, ...]  # in the order in which the agents were asked


class ReplayEngine(Engine):
    """Answers with the recorded texts of its model, and keeps the requests by place."""

    def __init__(self, model: str, info: EngineInfo, score: Score, requests: dict[Place, GenerateRequest]) -> None:
        self.model, self._info, self._score, self._requests = model, info, score, requests

    @property
    def info(self) -> EngineInfo:
        return self._info

    async def check_health(self) -> None:
        """Return at once."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Answer with the recorded text. Raises `EngineFailed` if no call was recorded for the place, or it failed."""
        place = place_of(request)
        call = self._score.calls.get(place)
        if call is None or call.model != self.model:
            raise EngineFailed(self.model, "the recorded run has no such call")
        self._requests[place] = request
        played = await self._score.play(place)
        if played.outcome not in READY:
            raise EngineFailed(self.model, f"the recorded call ended as '{played.outcome}'")
        yield delta_of(played)


class Unshared(SingleFlight):
    """Computes identical calls one by one, so that each has its own place."""

    async def complete(self, model: str, engine: Engine, request: GenerateRequest) -> Completion:
        return await complete(model, engine, request)


def place_of(request: GenerateRequest) -> Place:
    """Layer and position of a call, from the id that `RunContext.call` gives it."""
    _, layer, agent = request.request_id.rsplit("-", 2)
    return int(layer), int(agent)


def delta_of(call: TracedCall) -> Delta:
    """The recorded answer as one delta."""
    usage = TokenUsage(call.prompt_tokens, call.completion_tokens)
    return Delta(call.text, finish_reason=call.finish_reason or "stop", usage=usage, reasoning=call.reasoning)


def orchestrator_of(recipes: Mapping[str, Recipe], limits: Limits, engines: Mapping[str, Engine]) -> Orchestrator:
    """The recipes over `engines`, without sharing of equal calls."""
    orchestrator = Orchestrator(engines, recipes, limits)
    orchestrator.runtime.shared = Unshared()
    return orchestrator


async def rebuilt(
    recipe: str,
    recipes: Mapping[str, Recipe],
    infos: Mapping[str, EngineInfo],
    limits: Limits,
    request: GenerateRequest,
    answer: TracedAnswer,
) -> Rebuilt:
    """Repeat the run of `answer`; the models are not asked.

    Args:
        recipe: id of the recipe.
        recipes: all of the server, by id.
        infos: abilities of the models, by id. Each must lack "n", so that each sample has a place of its own.
        limits: of one request.
        request: as the server got it; it is not streamed.
        answer: the server's.

    Raises:
        Mismatch: the recipe asks, or answers, in another way than the server's did.
    """
    score, requests = Score(answer.calls), dict[Place, GenerateRequest]()
    engines: dict[str, Engine] = {name: ReplayEngine(name, info, score, requests) for name, info in infos.items()}
    orchestrator = orchestrator_of(recipes, limits, engines)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            done = await complete(recipe, orchestrator.engines[recipe], request)
    except TimeoutError:
        raise Mismatch(f"the recipe of the profile does not end within {TIMEOUT_S:g} s") from None
    except MoaError as error:
        raise Mismatch(f"the recipe of the profile runs in another way than the server's ({error})") from None
    if done.text != answer.text or set(score.started) != set(score.calls):
        raise Mismatch("the recipe of the profile gives another answer than the server's")
    roles = {(one.layer, one.agent): one.role for one in done.report.agents} if done.report else {}
    for place in score.started:
        call = score.calls[place]
        if roles.get(place) != call.role:
            raise Mismatch(
                f"'{call.model}' is '{roles.get(place)}' in the profile's recipe, '{call.role}' on the server"
            )
    return Rebuilt(requests, roles, tuple(score.started))

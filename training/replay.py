"""The prompts of a recorded run, rebuilt by a second run of the recipe in which the agents say the same again.

The server's trace has each agent's text, not its prompt. The recipe's own code makes the prompts again here, and
the token counts of the trace show that they are the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from serving.conversation import Message
from serving.engine import Engine, EngineInfo, complete
from serving.errors import EngineFailed, MoaError
from serving.orchestrator import Orchestrator
from serving.runtime.prompts import prompt_messages
from serving.runtime.single_flight import SingleFlight
from serving.types import Completion, Delta, GenerateRequest, Sampling
from serving.usage import TokenUsage
from training.prompts import ModelText
from training.score import Place, Score
from training.team import Team
from training.trace import TracedAnswer, TracedCall
from training.trajectory import PromptMessage, Turn

TIMEOUT_S = 30.0  # nothing is computed: a run that lasts longer waits for a call that never comes


class Mismatch(Exception):
    """The run cannot be rebuilt; `str(error)` is the reason."""


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
        """Answer with the recorded text. Raises `EngineFailed` if no call was recorded for the place."""
        place = place_of(request)
        call = self._score.calls.get(place)
        if call is None or call.model != self.model:
            raise EngineFailed(self.model, "the recorded run has no such call")
        self._requests[place] = request
        yield delta_of(await self._score.play(place))


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


def orchestrator_of(team: Team, engines: Mapping[str, Engine]) -> Orchestrator:
    """The team's recipes over `engines`, without sharing of equal calls."""
    orchestrator = Orchestrator(engines, team.recipes, team.profile.orchestrator.limits)
    orchestrator.runtime.shared = Unshared()
    return orchestrator


def request_of(messages: Sequence[Message], sampling: Mapping[str, Any]) -> GenerateRequest:
    """The request as the API makes it of a chat completion."""
    return GenerateRequest("training", tuple(messages), Sampling(**sampling), stream_interval=None)


async def rebuilt(
    team: Team,
    texts: Mapping[str, ModelText],
    messages: Sequence[Message],
    sampling: Mapping[str, Any],
    answer: TracedAnswer,
) -> tuple[Turn, ...]:
    """The turns of `answer` with their prompts, in the order in which the agents were asked.

    Args:
        team: recipe and models; they must be those of the server.
        texts: tokenizers by model: the length of these models' prompts is compared with the trace.
        messages: of the request.
        sampling: of the request: temperature, seed, max_tokens.
        answer: the server's.

    Raises:
        Mismatch: an agent failed, read shortened references, or read something else here than on the server.
    """
    if (problem := answer.problem()) is not None:
        raise Mismatch(problem)
    score, requests = Score(answer.calls), dict[Place, GenerateRequest]()
    engines: dict[str, Engine] = {
        name: ReplayEngine(name, info, score, requests) for name, info in team.infos().items()
    }
    orchestrator = orchestrator_of(team, engines)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            done = await complete(team.recipe.id, orchestrator.engines[team.recipe.id], request_of(messages, sampling))
    except (MoaError, TimeoutError) as error:
        raise Mismatch(f"the recipe of the profile runs in another way than the server's ({error})") from None
    if done.text != answer.text or set(score.started) != set(score.calls):
        raise Mismatch("the recipe of the profile gives another answer than the server's")
    roles = {(one.layer, one.agent): one.role for one in done.report.agents} if done.report else {}
    turns = []
    for place in score.started:
        call = score.calls[place]
        if roles.get(place) != call.role:
            raise Mismatch(
                f"'{call.model}' is '{roles.get(place)}' in the profile's recipe, '{call.role}' on the server"
            )
        turn = turn_of(team, call, requests[place])
        check_length(turn, texts)
        turns.append(turn)
    return tuple(turns)


def turn_of(team: Team, call: TracedCall, request: GenerateRequest) -> Turn:
    """The turn of a call whose agent read the prompt of `request`."""
    spec = next((model for model in team.profile.generating if model.id == call.model), None)
    args = {} if spec is None else spec.template_args(request.thinking, request.template_args)
    return Turn(
        layer=call.layer,
        agent=call.agent,
        role=call.role,
        model=call.model,
        prompt=tuple(PromptMessage(role=one.role, content=one.content) for one in prompt_messages(request)),
        template_args=args,
        text=call.text,
        reasoning=call.reasoning,
        finish_reason=call.finish_reason,
        prompt_tokens=None if call.sampled_with_another else call.prompt_tokens,
        completion_tokens=None if call.sampled_with_another else call.completion_tokens,
        started_ms=call.started_ms or 0.0,
        ended_ms=call.ended_ms or 0.0,
    )


def check_length(turn: Turn, texts: Mapping[str, ModelText]) -> None:
    """Compare the length of a rebuilt prompt with that of the server. Raises `Mismatch`."""
    if turn.model not in texts or turn.prompt_tokens is None:
        return
    here = len(texts[turn.model].prompt_ids(turn.prompt, turn.template_args))
    if here != turn.prompt_tokens:
        raise Mismatch(
            f"the prompt of '{turn.model}' ({turn.role}) has {here} tokens with this profile, {turn.prompt_tokens} on"
            " the server"
        )

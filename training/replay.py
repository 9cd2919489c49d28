"""The prompts of a recorded run, rebuilt by a second run of the recipe in which the agents say the same again.

`serving.replay.rebuilding` repeats the run; the token counts of the trace show that the prompts are the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.conversation import Message
from serving.replay import rebuilding
from serving.replay.rebuilding import Mismatch
from serving.replay.traced import TracedAnswer, TracedCall
from serving.runtime.prompts import prompt_messages
from serving.types import GenerateRequest, Sampling
from training.prompts import ModelText
from training.team import Team
from training.trajectory import PromptMessage, Turn


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
    limits = team.profile.orchestrator.limits
    request = request_of(messages, sampling)
    run = await rebuilding.rebuilt(team.recipe.id, team.recipes, team.infos(), limits, request, answer)
    calls = {call.place: call for call in answer.calls}
    turns = []
    for place in run.started:
        turn = turn_of(team, calls[place], run.requests[place])
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

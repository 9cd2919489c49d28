"""An agent: a model in a role, with how it samples and how long it may take."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from serving.config import Frozen
from serving.types import Sampling

MAX_AGENTS = 64  # of one team


class Agent(Frozen):
    """`None` leaves a setting to the recipe, then to the request, then to the model."""

    model: str = Field(description="A model id; a recipe's id is refused.")
    repeat: int = Field(default=1, ge=1, le=MAX_AGENTS, description="How many times the agent stands in its layer.")
    system: str | None = Field(default=None, description="Added after the caller's own system prompt.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    deadline_s: float | None = Field(default=None, gt=0, description="From the call's start to its end.")
    first_token_deadline_s: float | None = Field(
        default=None, gt=0, description="Aggregators: then a fallback answers."
    )


def _from_name(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _expanded(value: Any) -> Any:
    """A team with `repeat` written out, so that position is identity from here on.

    Of a team that is too large one agent more than it may have is enough to refuse it.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        return value
    agents: list[Any] = []
    for item in value:
        if len(agents) > MAX_AGENTS:
            break
        agent = Agent.model_validate(_from_name(item)) if not isinstance(item, Agent) else item
        agents.extend([agent.model_copy(update={"repeat": 1})] * agent.repeat)
    return tuple(agents[: MAX_AGENTS + 1])


# In YAML an agent may be a bare model id, a team a list with repeats.
AgentField = Annotated[Agent, BeforeValidator(_from_name)]
Team = Annotated[tuple[Agent, ...], BeforeValidator(_expanded), Field(min_length=1, max_length=MAX_AGENTS)]


def proposer_sampling(
    agent: Agent, request: Sampling, *, temperature: float | None, max_tokens: int | None
) -> Sampling:
    """How a proposer samples: its own settings, then the recipe's (the keywords), then the request's.

    What shapes the final answer alone (`stop`, `response_format`, `logprobs`, `n`) does not reach proposers, and
    neither does the request's `max_tokens` where agent or recipe sets one.
    """
    limit: int | None = _first(agent.max_tokens, max_tokens, request.max_tokens)
    return Sampling(
        temperature=_first(agent.temperature, request.temperature, temperature),
        top_p=_first(agent.top_p, request.top_p),
        max_tokens=limit,
        seed=request.seed,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        top_k=request.top_k,
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        ignore_eos=request.ignore_eos,
        min_tokens=request.min_tokens if limit is None else min(request.min_tokens, limit),
    )


def answer_sampling(agent: Agent, request: Sampling, *, temperature: float | None) -> dict[str, Any]:
    """What the final agent's sampling changes in the request's: the caller's word comes first here."""
    limit: int | None = _first(request.max_tokens, agent.max_tokens)
    return {
        "temperature": _first(request.temperature, agent.temperature, temperature),
        "top_p": _first(request.top_p, agent.top_p),
        "max_tokens": limit,
        "min_tokens": request.min_tokens if limit is None else min(request.min_tokens, limit),
    }


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)

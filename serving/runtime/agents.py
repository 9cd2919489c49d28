"""An agent: a model in a role, with its sampling and its deadlines."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from serving.config import Frozen
from serving.types import Sampling

MAX_AGENTS = 64  # per team


class Agent(Frozen):
    """One member of a team. `None` leaves a setting to the recipe, then to the request, then to the model."""

    model: str = Field(description="A model id; recipe ids are refused.")
    repeat: int = Field(default=1, ge=1, le=MAX_AGENTS, description="Number of copies of the agent in its layer.")
    system: str | None = Field(default=None, description="Text added after the caller's own system prompt.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    deadline_s: float | None = Field(default=None, gt=0, description="Deadline of the whole call.")
    first_token_deadline_s: float | None = Field(
        default=None, gt=0, description="Deadline of the first token, for aggregators; then a fallback answers."
    )


def _from_name(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _expanded(value: Any) -> Any:
    """A team with `repeat` written out, so that position is identity from here on.

    A team that is too large is cut to one agent above the limit, which is enough to refuse it.
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
    """Sampling of a proposer: its own settings, then the recipe's (the keywords), then the request's.

    Parameters that shape the final answer only (`stop`, `response_format`, `logprobs`, `n`) do not reach proposers,
    and neither does the request's `max_tokens` if the agent or the recipe sets one.
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
    """Changes of the final agent's sampling to the request's; the caller's own settings come first."""
    limit: int | None = _first(request.max_tokens, agent.max_tokens)
    return {
        "temperature": _first(request.temperature, agent.temperature, temperature),
        "top_p": _first(request.top_p, agent.top_p),
        "max_tokens": limit,
        "min_tokens": request.min_tokens if limit is None else min(request.min_tokens, limit),
    }


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)

"""An agent: a model in a role, with its sampling and its deadlines."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, model_validator

from serving.config import FiniteNumbers
from serving.conversation import Effort, Thinking

MAX_AGENTS = 64  # per team


class Setting(FiniteNumbers):
    """A part of a team, of which a request may give some fields as null: they are not given."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class ThinkingSetting(Setting):
    """An agent's thinking, in YAML `off`, `on` or a mapping of these fields."""

    enabled: StrictBool = True
    effort: Effort | None = Field(default=None, description="Effort of the thinking, as in `reasoning_effort`.")
    budget_tokens: StrictInt | None = Field(default=None, ge=0, description="Largest number of tokens of the thinking.")

    @property
    def value(self) -> Thinking:
        """The setting as a request's field."""
        return Thinking(self.enabled and self.effort != "none", self.effort, self.budget_tokens)


def _thinking(value: Any) -> Any:
    """`off` and `on`, which YAML reads as booleans, as mappings."""
    if isinstance(value, str):
        if value not in ("off", "on"):
            raise ValueError("thinking is 'off', 'on', or an object with 'effort' and 'budget_tokens'")
        value = value == "on"
    return {"enabled": value} if isinstance(value, bool) else value


class Agent(Setting):
    """One member of a team. `None` leaves a setting to the recipe, then to the request, then to the model."""

    model: str = Field(description="A model id; recipe ids are refused.")
    repeat: StrictInt = Field(default=1, ge=1, le=MAX_AGENTS, description="Number of copies of the agent in its layer.")
    system: str | None = Field(default=None, description="Text added after the caller's own system prompt.")
    temperature: StrictFloat | None = Field(default=None, ge=0, le=2)
    top_p: StrictFloat | None = Field(default=None, gt=0, le=1)
    max_tokens: StrictInt | None = Field(default=None, ge=1)
    deadline_s: StrictFloat | None = Field(default=None, gt=0, description="Deadline of the whole call.")
    first_token_deadline_s: StrictFloat | None = Field(
        default=None, gt=0, description="Deadline of the first token, for aggregators; then a fallback answers."
    )
    thinking: Annotated[ThinkingSetting | None, BeforeValidator(_thinking)] = Field(
        default=None,
        description="off, on, or {effort, budget_tokens}. Default: off; for the final agent the model's own.",
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

"""What every recipe is: a frozen configuration with one method, `run`."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from serving.errors import InvalidRequest
from serving.recipes.cost import FREE, Cost
from serving.runtime.agents import MAX_AGENTS, Agent, AgentField
from serving.runtime.policy import Policy
from serving.types import Delta, Sampling
from serving.validation import first_issue, kind_of

if TYPE_CHECKING:
    from serving.runtime.run import Run


OF_LAYERS = frozenset(
    {"min_proposals", "straggler_grace_s", "reference_order"}
)  # knobs without effect where there are none
_AGENT: TypeAdapter[Agent] = TypeAdapter(AgentField)


def team_of(value: Any, field: str, most: int = MAX_AGENTS) -> tuple[Agent, ...]:
    """Agents as a request names them. Raises `InvalidRequest`, which names the entry, before anything is built."""
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"Set '{field}' to a list, not {kind_of(value)}.", field)
    if not 1 <= len(value) <= most:
        raise InvalidRequest(
            f"Give '{field}' at least 1 and at most {most} {'entry' if most == 1 else 'entries'}.", field
        )
    agents: list[Agent] = []
    for position, item in enumerate(value):
        try:
            agents.append(_AGENT.validate_python(item))
        except ValidationError as error:
            place = f"{field}[{position}]"
            found = first_issue(error, f"{place}.", place)
            raise InvalidRequest(found.sentence, found.path) from None
    return tuple(agents)


class Recipe(Policy):
    """Base of all strategies. Subclasses add their fields and `run`.

    `per_request` names the fields that a caller may override through the request's `moa` object.
    """

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")
    description: str = ""
    strategy: str

    per_request: ClassVar[frozenset[str]] = frozenset(
        {
            "layout",
            "prefill",
            "reference_order",
            "min_proposals",
            "straggler_grace_s",
            "deadline_s",
            "temperature",
            "proposal_max_tokens",
        }
    )

    idle: ClassVar[frozenset[str]] = frozenset()  # knobs of every recipe that have no effect on this one
    team: ClassVar[str | None] = None  # the field with the team, which a request's `models` stands for
    cast: ClassVar[tuple[str, ...]] = ()  # without a team: the fields of one agent that `models` fills, in order

    @model_validator(mode="after")
    def _quorum_is_reachable(self) -> Self:
        size = self.team_size()
        if size is not None and self.min_proposals > size:
            raise ValueError(f"min_proposals is {self.min_proposals}, but there are only {size} proposers at once")
        return self

    @model_validator(mode="after")
    def _knobs_have_an_effect(self) -> Self:
        for name in sorted(self.idle):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} has no effect on the strategy '{self.strategy}', which has no layers; remove it"
                )
        return self

    @abstractmethod
    def agents(self) -> Iterable[Agent]:
        """Every agent that this recipe may call."""

    @abstractmethod
    def run(self, run: "Run") -> AsyncGenerator[Delta, None]:
        """Answer the run's request; ends with the one terminal delta of `run.answer` or `run.say`."""

    @abstractmethod
    def cost(self, sampling: Sampling, recipes: Mapping[str, "Recipe"]) -> Cost:
        """The most calls and tokens that a request with `sampling` can need; `recipes` are all that are served.

        Second attempts and whoever takes the place of a failed agent are not counted.
        """

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, "Recipe"]) -> Cost:
        """What is added to `cost` where somebody has given an answer before this recipe, who takes it up."""
        return FREE

    def team_size(self) -> int | None:
        """How many proposals a layer can have at most, the smallest one where there are several; `None`: no layers."""
        return len(getattr(self, self.team)) if self.team else None

    def delegates(self) -> frozenset[str]:
        """Ids of models and recipes that this recipe may hand the whole request to."""
        return frozenset()

    def requires(self) -> Mapping[str, frozenset[str]]:
        """What models must be able to do beside generating text: {model id: {"logprobs"}}."""
        return {}

    def proposals_cost(self, agents: Iterable[Agent], sampling: Sampling) -> Cost:
        """Of one answer of each of `agents`, as proposers."""
        team = [*agents]
        limits = [agent.max_tokens or self.proposal_max_tokens or sampling.max_tokens for agent in team]
        return Cost(len(team), None if None in limits else sum(limit or 0 for limit in limits))

    def answer_cost(self, agent: Agent, sampling: Sampling) -> Cost:
        """Of the final answer."""
        return Cost(1, sampling.max_tokens or agent.max_tokens)

    def models(self) -> frozenset[str]:
        """The model ids that this recipe needs."""
        return frozenset(agent.model for agent in self.agents())

    def translated(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """A request's words for fields, as fields: strategies with friendlier words override this.

        Raises:
            InvalidRequest: a value that must not be built before it is checked.
        """
        if "models" not in changes or not (self.team or self.cast):
            return changes
        fields = {name: value for name, value in changes.items() if name != "models"}
        if self.team:
            return {**fields, self.team: team_of(changes["models"], "moa.models")}
        return {
            **fields,
            **dict(zip(self.cast, team_of(changes["models"], "moa.models", len(self.cast)), strict=False)),
        }

    def overridden(self, options: Mapping[str, Any]) -> Self:
        """This recipe as one request wants it.

        Raises:
            InvalidRequest: an option is unknown, not to be changed per request, or out of range.
        """
        changes = {name: value for name, value in options.items() if name not in ("trace", "recipe")}
        if not changes:
            return self
        for former in sorted(self.renamed.keys() & changes.keys()):
            current = self.renamed[former]
            raise InvalidRequest(f"Rename 'moa.{former}': it is now called 'moa.{current}'.", f"moa.{former}")
        if unknown := sorted(set(changes) - self.per_request):
            allowed = ", ".join(sorted(self.per_request | {"trace", "recipe"}))
            raise InvalidRequest(
                f"Remove 'moa.{unknown[0]}': for '{self.id}' a request may set {allowed}.", f"moa.{unknown[0]}"
            )
        try:
            return type(self).model_validate({**self.model_dump(), **self.translated(changes)})
        except ValidationError as error:
            said = error.errors(include_url=False)[0]["msg"]
            whole = next((name for name in changes if name in said), next(iter(changes)))
            found = first_issue(error, "moa.", f"moa.{whole}")
            raise InvalidRequest(found.sentence, found.path) from None


class Answering(Recipe):
    """A recipe whose answer is written by one agent, whose place others can take."""

    fallbacks: tuple[AgentField, ...] | None = Field(
        default=None, description="Who answers when the last agent cannot; by default the other models of the team."
    )

    def replacements(self, agent: Agent, team: Iterable[Agent]) -> tuple[Agent, ...]:
        """Who answers where `agent` cannot, in turn: `fallbacks`, or `team`'s other models in the same role."""
        if self.fallbacks is not None:
            return self.fallbacks
        models = dict.fromkeys(other.model for other in team if other.model != agent.model)
        return tuple(agent.model_copy(update={"model": model}) for model in models)


def lacking(recipe: Recipe, models: Mapping[str, object]) -> list[tuple[str, str]]:
    """What the recipe's models cannot do but would have to, as pairs of model and ability."""
    return [
        (model, ability)
        for model, abilities in recipe.requires().items()
        for ability in sorted(abilities & frozenset(getattr(models[model], "unsupported", ())))
    ]

"""Base of all recipes: a frozen configuration with one method, `run`."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from serving.conversation import Message
from serving.engine import EngineInfo
from serving.errors import InvalidRequest
from serving.recipes.cost import FREE, Cost
from serving.references import References
from serving.runtime.agents import MAX_AGENTS, Agent, AgentField
from serving.runtime.policy import SmallTaskModel, ToolMode
from serving.runtime.run import Run, Strategy
from serving.runtime.task import Task
from serving.types import Delta, Sampling
from serving.validation import first_issue, kind_of

# Settings without an effect on a strategy that has no layers of proposers, or none that advise a final agent.
LAYER_SETTINGS = frozenset(
    {"min_proposals", "straggler_grace_s", "reference_order", "advise", "refill", "below_quorum"}
)
_AGENT: TypeAdapter[Agent] = TypeAdapter(AgentField)


def team_of(value: Any, field: str, max_agents: int = MAX_AGENTS) -> tuple[Agent, ...]:
    """Agents as a request names them. Raises `InvalidRequest`, which names the entry, before anything is built."""
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"Set '{field}' to a list, not {kind_of(value)}.", field)
    if not 1 <= len(value) <= max_agents:
        raise InvalidRequest(
            f"Give '{field}' at least 1 and at most {max_agents} {'entry' if max_agents == 1 else 'entries'}.", field
        )
    agents: list[Agent] = []
    for position, item in enumerate(value):
        if not isinstance(item, str | Mapping | Agent):
            place = f"{field}[{position}]"
            raise InvalidRequest(f"Set '{place}' to a model id or an object, not {kind_of(item)}.", place)
        try:
            agents.append(_AGENT.validate_python(item))
        except ValidationError as error:
            place = f"{field}[{position}]"
            found = first_issue(error, f"{place}.", place)
            raise InvalidRequest(found.sentence, found.path) from None
    return tuple(agents)


def field_with(overrides: Mapping[str, Any], model: str) -> str:
    """Path of the first of a request's overrides that names `model`; "moa" if none does."""
    waiting: list[tuple[str, Any]] = [(f"moa.{name}", value) for name, value in overrides.items()]
    for path, value in waiting:
        if value == model:
            return path
        if isinstance(value, Mapping):
            waiting += [(f"{path}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(f"{path}[{place}]", inner) for place, inner in enumerate(value)]
    return "moa"


class Recipe(Strategy):
    """Base of all strategies. Subclasses add their fields and `run`.

    Class attributes:
        per_request: fields that a caller may override through the request's `moa` object.
        without_effect: settings of every recipe that have no effect on this strategy; setting one is refused.
        team: the field that holds the team, which a request's `models` replaces.
        cast: without a team, the fields of single agents that a request's `models` replaces, in order.
        tool_modes: values of the setting `tools` that the strategy supports; none: a request with tools is refused.
            `final`: the agent in the field `final`, or that of the recipe or model in `handover`, has the tools.
            `vote`: proposers have them too.
        caller: the agents that call tools, for the documentation.
        final: the field of the agent that writes the answer, if there is one.
        picks: the answer is one of the proposals; no agent writes it.
        continues: the answer can continue the conversation's last message (`continue_final_message`).
    """

    description: str = ""
    strategy: str

    per_request: ClassVar[frozenset[str]] = frozenset(
        {
            "advise",
            "below_quorum",
            "refill",
            "tools",
            "small_tasks",
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
    without_effect: ClassVar[frozenset[str]] = frozenset()
    team: ClassVar[str | None] = None
    cast: ClassVar[tuple[str, ...]] = ()
    tool_modes: ClassVar[tuple[ToolMode, ...]] = ()
    caller: ClassVar[str] = "no agent"
    final: ClassVar[str | None] = None
    picks: ClassVar[bool] = False
    continues: ClassVar[bool] = True

    @model_validator(mode="after")
    def _quorum_is_reachable(self) -> Self:
        size = min((len(layer) for layer in self.proposer_layers()), default=None)
        if size is not None and self.min_proposals > size:
            raise ValueError(f"min_proposals is {self.min_proposals}, but a layer has only {size} proposers")
        return self

    @model_validator(mode="after")
    def _team_settings_fit(self) -> Self:
        if (
            self.refill
            and "refill" not in self.without_effect
            and len({agent.model for agent in self.proposers_of_all_layers()}) < 2
        ):
            raise ValueError("refill needs a team of two models or more; remove it or add a model")
        if self.below_quorum == "single" and self.picks:
            raise ValueError(f"below_quorum: single needs a final agent, and the strategy '{self.strategy}' has none")
        if self.tools not in (self.tool_modes or ("final",)):
            known = " or ".join(self.tool_modes or ("final",))
            raise ValueError(f"tools: {self.tools} does not fit the strategy '{self.strategy}', only {known}")
        return self

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        for name in sorted(self.without_effect):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect on the strategy '{self.strategy}'; remove it")
        return self

    @abstractmethod
    def agents(self) -> Iterable[Agent]:
        """Every agent that this recipe may call."""

    @abstractmethod
    def cost(self, sampling: Sampling, recipes: Mapping[str, "Recipe"]) -> Cost:
        """Upper bound of the calls and tokens of a request with `sampling`; `recipes` are all that are served.

        Second attempts, refills and fallbacks are not counted.
        """

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, "Recipe"]) -> Cost:
        """Addition to `cost` if an answer from before this recipe is among its references."""
        return FREE

    def proposer_layers(self) -> tuple[tuple[Agent, ...], ...]:
        """Proposers of each layer that asks the request itself."""
        return (tuple(getattr(self, self.team)),) if self.team else ()

    def proposers_of_all_layers(self) -> tuple[Agent, ...]:
        """All proposers, layer by layer: the team whose models take slots that failed (`refill`)."""
        return tuple(agent for layer in self.proposer_layers() for agent in layer)

    def delegates(self) -> frozenset[str]:
        """Ids of models and recipes to which this recipe may hand the whole request."""
        return frozenset()

    def final_agent(self) -> Agent | None:
        """The agent that writes the answer; `None` if there is none, or another recipe has it."""
        agent: Agent | None = getattr(self, self.final) if self.final else None
        return agent

    def answering(self) -> tuple[Agent, ...]:
        """Agents whose own text may be the answer, without fallbacks and those of `delegates`."""
        return self.proposers_of_all_layers() if self.picks else tuple(filter(None, [self.final_agent()]))

    def steps(self, recipe_of: Callable[[str], Strategy | None]) -> int:
        """Steps before the final answer, by which recipes that delegate divide the time.

        By default the layers of proposers. `recipe_of` returns a recipe by id, None for a model.
        """
        return len(self.proposer_layers())

    def handover(self, messages: tuple[Message, ...]) -> str | None:
        """Id of the model or recipe to which a conversation with tools is handed over."""
        return None

    def requires(self) -> Mapping[str, frozenset[str]]:
        """Abilities that models need beside generating text: {model id: {"logprobs"}}."""
        return {}

    def proposals_cost(self, agents: Iterable[Agent], sampling: Sampling) -> Cost:
        """Cost of one answer of each of `agents`, as proposers."""
        team = [*agents]
        limits = [agent.max_tokens or self.proposal_max_tokens or sampling.max_tokens for agent in team]
        return Cost(len(team), None if None in limits else sum(limit or 0 for limit in limits))

    def answer_cost(self, agent: Agent, sampling: Sampling) -> Cost:
        """Cost of the final answer."""
        return Cost(1, sampling.max_tokens or agent.max_tokens)

    def models(self) -> frozenset[str]:
        """Ids of the models that this recipe needs."""
        return frozenset(agent.model for agent in self.agents())

    @property
    def small_task_model(self) -> str | None:
        """Id of the model that the setting `small_tasks` names."""
        return self.small_tasks.model if isinstance(self.small_tasks, SmallTaskModel) else None

    def named_models(self) -> frozenset[str]:
        """Ids of all models that the recipe's settings name; each must be served."""
        named = self.small_task_model
        return self.models() if named is None else self.models() | {named}

    def translated(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Changes of a request, as fields of this recipe: strategies with shorter names for fields override this.

        Raises:
            InvalidRequest: a value that must be checked before anything is built from it.
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

    def overridden(self, changes: Mapping[str, Any]) -> Self:
        """This recipe with the changes of one request.

        Raises:
            InvalidRequest: a setting is unknown, cannot be changed per request, or is out of range.
        """
        for former in sorted(self.renamed.keys() & changes.keys()):
            current = self.renamed[former]
            raise InvalidRequest(f"Rename 'moa.{former}': it is now called 'moa.{current}'.", f"moa.{former}")
        if unknown := sorted(set(changes) - self.per_request):
            allowed = ", ".join(sorted(self.per_request | {"cache", "events", "preview", "recipe", "show", "trace"}))
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
    """A recipe with one final agent, which other agents can replace."""

    fallbacks: tuple[AgentField, ...] | None = Field(
        default=None,
        description="Agents that answer if the final agent fails; by default the other models of the team.",
    )

    async def aggregated(
        self,
        run: Run,
        make: Callable[[Run], Awaitable[References]],
        agent: Agent,
        team: Iterable[Agent],
        role: str | None = None,
    ) -> AsyncGenerator[Delta, None]:
        """Stream of the answer of `agent` with the references of `make`; the models of `team` can replace it.

        If proposers agreed on tool calls, these are the answer.
        """
        references = await run.advice(make)
        return run.answer(agent, Task(references, role=role), fallbacks=self.replacements(agent, team))

    def replacements(self, agent: Agent, team: Iterable[Agent]) -> tuple[Agent, ...]:
        """Agents that replace `agent`, in order: `fallbacks`, or the other models of `team` in the same role."""
        if self.fallbacks is not None:
            return self.fallbacks
        models = dict.fromkeys(other.model for other in team if other.model != agent.model)
        return tuple(agent.model_copy(update={"model": model}) for model in models)


def lacking(recipe: Recipe, models: Mapping[str, EngineInfo]) -> list[tuple[str, str]]:
    """Abilities that the recipe requires and its models lack, as pairs of model and ability."""
    return [
        (model, ability)
        for model, abilities in recipe.requires().items()
        for ability in sorted(abilities & models[model].unsupported)
    ]

"""Policy of a run towards its agents: quorum, deadlines, hedging, prefill. The same settings for every recipe."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt

from serving.config import FiniteNumbers, Frozen
from serving.references import Layout
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE

PrefillMode = Literal["off", "on_complete", "incremental"]
ReferenceOrder = Literal["declared", "arrival"]
ToolMode = Literal["final", "vote"]
BelowQuorum = Literal["fail", "answer", "single"]
NEXT_TURN_PREFILL_S = 10.0  # default of recipes and of single models
ADVISE: Mapping[str, int | None] = {"user_turn": None, "every_turn": 1}


class AdviseSetting(Frozen):
    """Turns of a loop of tool calls at which the team is asked: `user_turn`, `every_turn` or a mapping of `every`."""

    every: StrictInt | None = Field(
        default=None, ge=1, description="Answers with tool calls between two turns of the team."
    )

    def __str__(self) -> str:
        """The setting as in YAML."""
        return next((name for name, every in ADVISE.items() if every == self.every), f"{{every: {self.every}}}")


def _advise(value: Any) -> Any:
    """The names of `ADVISE` as mappings."""
    if not isinstance(value, str):
        return value
    if value not in ADVISE:
        raise ValueError("advise is 'user_turn', 'every_turn', or an object with 'every'")
    return {"every": ADVISE[value]}


class SmallTaskModel(Frozen):
    """The one model that answers small tasks."""

    model: str = Field(min_length=1, description="A model id.")

    def __str__(self) -> str:
        """The setting as in YAML."""
        return f"{{model: {self.model}}}"


def _small_tasks(value: Any) -> Any:
    """The value, if it is a name of `small_tasks` or names a model."""
    if isinstance(value, SmallTaskModel) or value in ("one_model", "team"):
        return value
    if not (
        isinstance(value, Mapping) and set(value) == {"model"} and value["model"] and isinstance(value["model"], str)
    ):
        raise ValueError("small_tasks is 'one_model', 'team', or an object with the id of a 'model'")
    return value


SmallTasks = Annotated[Literal["one_model", "team"] | SmallTaskModel, BeforeValidator(_small_tasks)]


class CacheSetting(FiniteNumbers):
    """The response cache of a recipe's answers: `off`, or a mapping of `ttl_s`."""

    ttl_s: StrictFloat | None = Field(gt=0, description="Time for which an answer is kept, in seconds.")

    def __str__(self) -> str:
        """The setting as in YAML."""
        return "off" if self.ttl_s is None else f"{{ttl_s: {self.ttl_s:g}}}"


def _cache(value: Any) -> Any:
    """`off`, which YAML reads as false, as a mapping."""
    if value is False or value == "off":
        return {"ttl_s": None}
    if value is not None and not isinstance(value, CacheSetting | Mapping):
        raise ValueError("cache is 'off', or an object with 'ttl_s'")
    return value


class Policy(FiniteNumbers):
    """Settings that every recipe has. Durations are in seconds; `None` switches a setting off."""

    renamed: ClassVar[Mapping[str, str]] = {"prewarm": "prefill"}

    min_proposals: StrictInt = Field(
        default=1, ge=1, description="Quorum of a layer: usable proposals that are enough; see below_quorum for fewer."
    )
    straggler_grace_s: StrictFloat | None = Field(
        default=None, ge=0, description="Time a layer waits for the remaining proposers once it has min_proposals."
    )
    proposer_deadline_s: StrictFloat = Field(
        default=120.0, gt=0, description="Deadline of each proposer without a deadline of its own."
    )
    first_token_deadline_s: StrictFloat = Field(
        default=60.0, gt=0, description="Deadline of the final agent's first token; then a fallback answers."
    )
    deadline_s: StrictFloat = Field(default=300.0, gt=0, description="Deadline of the whole request.")
    answer_share: StrictFloat = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="Share of the request's deadline that is kept for the final answer; the steps before it divide the"
        " rest. A layer that has min_proposals ends when its part is over: see docs/degradation.md.",
    )
    hedge: StrictBool = Field(
        default=False, description="Start a second attempt for a proposer slower than hedge_quantile."
    )
    hedge_quantile: StrictFloat = Field(
        default=0.95, gt=0.5, lt=1, description="Quantile of the durations of calls of the same kind."
    )
    retries: StrictInt = Field(default=1, ge=0, le=5, description="New attempts for a proposer whose replica was lost.")
    prefill: PrefillMode = Field(
        default="on_complete",
        description="Prefill of the next layer's prompts while proposers run: see docs/architecture.md.",
    )
    next_turn_prefill_s: StrictFloat = Field(
        default=NEXT_TURN_PREFILL_S,
        ge=0,
        description="Maximum time for the prefill of the prompt that follows tool calls, while the client runs them; 0:"
        " no such prefill. `prefill: off` switches it off too.",
    )
    reference_order: ReferenceOrder = Field(
        default="declared", description="Order of the references: as declared, or by arrival of the proposals."
    )
    refill: StrictBool = Field(
        default=False,
        description="Ask another model of the team, once, for a proposal that failed or is empty.",
    )
    below_quorum: BelowQuorum = Field(
        default="fail",
        description="A layer with fewer usable proposals than min_proposals: fail the request (503), answer with those"
        " there are, or have the final agent answer as a single model, without references.",
    )
    tools: ToolMode = Field(
        default="final",
        description="Agents that have the request's tools: the final agent alone, or (vote) proposers too, whose equal"
        " calls are returned at once.",
    )
    advise: Annotated[AdviseSetting, BeforeValidator(_advise)] = Field(
        default=AdviseSetting(),
        description="While tools are called: ask the team once per user turn (user_turn), at every call (every_turn),"
        " or at every n-th call ({every: n}); between, its references are reused.",
    )
    small_tasks: SmallTasks = Field(
        default="one_model",
        description="Small tasks of user interfaces (titles, tags, follow-ups, search queries): answered by the"
        " recipe's cheapest model (one_model), by a certain model ({model: ID}), or by the recipe (team).",
    )
    layout: Layout = Field(
        default="paper", description="Position of the references in the prompt: see serving/runtime/prompts.py."
    )
    prompt: str = Field(default=AGGREGATE_AND_SYNTHESIZE, min_length=1, description="Instruction above the references.")
    temperature: StrictFloat | None = Field(
        default=0.7, ge=0, le=2, description="Temperature if neither the agent nor the request sets one."
    )
    proposal_max_tokens: StrictInt | None = Field(
        default=None, ge=1, description="Token limit of each proposal; by default the request's max_tokens."
    )
    cache: Annotated[CacheSetting | None, BeforeValidator(_cache)] = Field(
        default=None,
        description="The response cache: off, or {ttl_s: SECONDS}, for which whole answers are kept for equal requests."
        " By default as `api.cache` says; a request's `moa.cache` comes first.",
    )

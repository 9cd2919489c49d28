"""Profiles: models and the recipes on top of them. Read from YAML, frozen, unknown keys refused."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from deployments.batch_spec import BatchSpec
from deployments.external_spec import ExternalSpec
from deployments.model_identity import TokenPrice
from deployments.model_spec import ModelSpec, Replicas
from serving.api.settings import ApiSettings
from serving.config import Frozen, YamlDirectory
from serving.errors import ConfigError
from serving.quality.settings import QualitySettings
from serving.recipes.cost import Limits
from serving.runtime.policy import NEXT_TURN_PREFILL_S
from serving.store.settings import StoreSettings
from serving.validation import first_issue

PROFILES = Path(__file__).parent / "profiles"
PROFILE_DIRECTORY = YamlDirectory(PROFILES, "profile", required_keys=("name", "models"))


class AppArgs(Frozen):
    """Arguments of `serve run deployments:moa_app key=value`."""

    profile: str = Field(
        default="",
        description="Name of a profile, or path of a YAML file. Empty: 'lite' with three GPUs, 'small' with one, else"
        " 'tiny'.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the API listens on, if a cluster is started.")
    port: int = Field(
        default=8000, ge=1, le=65535, description="Port that the API listens on, if a cluster is started."
    )
    dashboard: bool = Field(default=False, description="Start Ray's dashboard, if a cluster is started.")
    logs: bool = Field(default=False, description="Show the logs of all processes, if a cluster is started.")
    autoscaling: bool = Field(
        default_factory=lambda: "KUBERNETES_SERVICE_HOST" in os.environ,
        description="The cluster adds nodes on demand: missing GPUs are not an error. Default: true on Kubernetes.",
    )


class SessionAffinity(Frozen):
    """Requests of one conversation go to the same replica of each model, which has their prompts cached."""

    enabled: bool = Field(default=True, description="False: every request goes to the less loaded of two replicas.")
    imbalance_factor: float = Field(
        default=1.5,
        ge=1,
        description="A conversation's replica is left out if its requests in progress are more than this many times the"
        " mean of all replicas, and `imbalance_requests` are exceeded too.",
    )
    imbalance_requests: int = Field(
        default=8, ge=0, description="Requests in progress above the mean that are always allowed."
    )


class OrchestratorSpec(Frozen):
    """The HTTP deployment: the API and the recipes."""

    replicas: Replicas = Field(
        default=Replicas(target_ongoing_requests=100),
        description="Number of replicas. None given: one, with `target_ongoing_requests` 100.",
    )
    max_ongoing_requests: int = Field(default=4096, ge=1, description="Open HTTP requests per replica.")
    num_cpus: float = Field(default=0.5, ge=0, description="CPUs that Ray reserves for a replica.")
    resources: Mapping[str, float] = Field(
        default_factory=dict, description="Custom Ray resources that a replica's node must have."
    )
    drain_s: float = Field(
        default=30, ge=0, description="Time for which a stopping replica waits for its requests to finish."
    )
    next_turn_prefill_s: float = Field(
        default=NEXT_TURN_PREFILL_S,
        ge=0,
        description="Maximum time for the prefill of the prompt that follows a single model's tool calls, while the"
        " client runs them; 0: no such prefill. Recipes have a setting of the same name.",
    )
    limits: Limits = Field(default=Limits(), description="Limits on the calls and tokens of one request.")
    session_affinity: SessionAffinity = Field(
        default=SessionAffinity(), description="Choice of a model's replica by conversation."
    )


class Profile(Frozen):
    """A complete server: models, recipes, API and orchestrator."""

    name: str = Field(min_length=1, description="Name of the profile.")
    description: str = Field(default="", description="One line for people.")
    scope: str = Field(
        default="", description="Sentence printed at the start, behind the models: what they can and cannot do."
    )
    questions: tuple[str, ...] = Field(
        default=(), description="Questions to try, printed at the start; the first is in the printed command."
    )
    models: tuple[ModelSpec, ...] = Field(default=(), description="Models served here.")
    external: tuple[ExternalSpec, ...] = Field(
        default=(), description="Models behind other endpoints. A profile has at least one model, here or there."
    )
    team: Mapping[str, str | tuple[str, ...]] = Field(
        default_factory=dict, description="Model of each role in the preset recipes."
    )
    recipes: tuple[str | Mapping[str, Any], ...] = Field(
        default=(), description="Recipes: names of presets, presets with changes, or complete definitions."
    )
    api: ApiSettings = Field(default=ApiSettings(), description="Settings of the HTTP API.")
    orchestrator: OrchestratorSpec = Field(default=OrchestratorSpec(), description="The HTTP deployment.")
    store: StoreSettings = Field(default=StoreSettings(), description="State that outlives a request.")
    quality: QualitySettings | None = Field(
        default=None, description="Grading of a share of the answers by a judge, in the background. Null: none."
    )
    batches: BatchSpec = Field(default=BatchSpec(), description="Files and batches.")
    env: Mapping[str, str] = Field(default_factory=dict, description="Environment variables of every replica.")
    memory_gib: float = Field(
        default=0, ge=0, description="Free memory that a machine needs; checked before a cluster is started on it."
    )
    budget_usd_per_month: float | None = Field(
        default=None, gt=0, description="Budget in dollars a month, which dashboards compare with the estimated cost."
    )

    @model_validator(mode="after")
    def _something_answers(self) -> "Profile":
        if not self.models and not self.external:
            raise ValueError("it has no model; add one under 'models', or an endpoint under 'external'")
        return self

    @model_validator(mode="after")
    def _an_orchestrator_always_runs(self) -> "Profile":
        if self.orchestrator.replicas.min == 0:
            raise ValueError("orchestrator.replicas.min is 0, but nothing else could answer; set it to 1 or more")
        return self

    @model_validator(mode="after")
    def _the_cache_has_a_store(self) -> "Profile":
        if self.api.cache.ttl_s is not None and self.api.cache.enabled and not self.store.enabled:
            raise ValueError("api.cache.ttl_s needs the store; set store.enabled to true, or remove api.cache.ttl_s")
        return self

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Profile":
        ids = [model.id for model in self.models] + [a.id for model in self.models for a in model.adapters]
        ids += [model.id for model in self.external]
        if duplicates := {model_id for model_id in ids if ids.count(model_id) > 1}:
            raise ValueError(f"several models have the id '{min(duplicates)}'; rename all but one")
        return self

    @model_validator(mode="after")
    def _the_judge_generates_text(self) -> "Profile":
        models = [model.id for model in self.served]
        if self.quality is not None and self.quality.judge not in models:
            raise ValueError(
                f"quality.judge is '{self.quality.judge}', which is no model of the profile that generates text; choose"
                f" one of {', '.join(models)}"
            )
        return self

    @property
    def generating(self) -> tuple[ModelSpec, ...]:
        """Models on vLLM that generate text, each followed by its adapters as models of their own."""
        return tuple(one for model in self.models if model.generates for one in (model, *model.as_adapters))

    @property
    def served(self) -> "tuple[ModelSpec | ExternalSpec, ...]":
        """All models that recipes can use: those that generate text."""
        return (*self.generating, *self.external)

    @property
    def parents(self) -> dict[str, str]:
        """Id of the model that each adapter changes, by the adapter's id."""
        return {adapter.id: model.id for model in self.models for adapter in model.adapters}

    def base_of(self, model_id: str) -> str:
        """Id of the model whose replicas answer as `model_id`: another one if that is an adapter."""
        return self.parents.get(model_id, model_id)

    @property
    def pooling(self) -> tuple[ModelSpec, ...]:
        """Models that embed or rank."""
        return tuple(model for model in self.models if not model.generates)

    @property
    def prices(self) -> dict[str, TokenPrice]:
        """Prices of the models that have one, by id."""
        models = (*self.served, *self.pooling)
        return {one.id: one.usd_per_million_tokens for one in models if one.usd_per_million_tokens is not None}

    @property
    def contexts(self) -> dict[str, int]:
        """Context length of each model in tokens, by id."""
        return {model.id: model.context_tokens for model in self.served}

    @property
    def gpus(self) -> float:
        """GPUs for the minimum number of replicas; a fraction if models share them."""
        return round(sum(model.gpus * model.gpu_share * model.replicas.min for model in self.models), 4)

    @property
    def cpus(self) -> float:
        """CPUs that Ray must count for the minimum number of replicas, and for one of each model. Nothing is pinned."""
        models = sum(
            (m.num_cpus + (m.workers if m.accelerator == "cpu" else 0)) * max(m.replicas.min, 1) for m in self.models
        )
        return models + self.orchestrator.num_cpus * self.orchestrator.replicas.min


def load_profile(name: str) -> Profile:
    """Read the profile named `name`, or the YAML file at the path `name`.

    Raises:
        ConfigError: no such profile or file, or a field is wrong or unknown.
    """
    raw = PROFILE_DIRECTORY.read(name)
    try:
        return Profile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{name}: {first_issue(error, whole='the profile').sentence}") from None

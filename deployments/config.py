"""Profiles: which models run where, and which recipes stand on them. Read from YAML, frozen, no unknown keys."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from serving.api.settings import ApiSettings
from serving.config import Frozen, YamlDirectory
from serving.engines.openai import OpenAIEngine
from serving.errors import ConfigError
from serving.recipes.cost import Limits
from serving.validation import first_issue, shown

PROFILES = Path(__file__).parent / "profiles"
PROFILE_DIRECTORY = YamlDirectory(PROFILES, "profile", required_keys=("name", "models"))
ROOT = Path(__file__).parent.parent
# Options of vLLM that are reckoned with here, and what they must be: vLLM itself finds out when its engine starts.
TYPED_ENGINE_OPTIONS: Mapping[str, tuple[TypeAdapter[Any], str]] = {
    **{
        name: (TypeAdapter(Annotated[int, Field(ge=1)]), "an integer above 0")
        for name in ("max_model_len", "tensor_parallel_size", "pipeline_parallel_size")
    },
    "gpu_memory_utilization": (TypeAdapter(Annotated[float, Field(gt=0, le=1)]), "a number above 0, at most 1"),
}


class AppArgs(Frozen):
    """What `serve run deployments:moa_app key=value` takes."""

    profile: str = Field(default="", description="A profile's name or a YAML file; empty: 'tiny', or 'lite' with GPUs.")
    host: str = Field(default="127.0.0.1", description="Where a cluster started by this command listens.")
    port: int = Field(default=8000, ge=1, le=65535)
    dashboard: bool = Field(default=False, description="Start Ray's dashboard with a cluster started here.")
    logs: bool = Field(default=False, description="Show the logs of all processes of a cluster started here.")
    autoscaling: bool = Field(
        default_factory=lambda: "KUBERNETES_SERVICE_HOST" in os.environ,
        description="The cluster adds nodes on demand: GPUs that are not there yet are no error.",
    )


class ModelShape(Frozen):
    """The sizes that memory arithmetic needs, as in the model's config.json; read from there where it is local."""

    parameters: int = Field(ge=1, description="All of them, experts included.")
    layers: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    weight_bits: float = Field(
        default=16, gt=0, description="Per parameter as served: 16 for bf16, 8 for FP8, ~4.5 AWQ."
    )
    kv_bits: int = Field(default=16, ge=4)


class Replicas(Frozen):
    """How many, and what one of them takes before the next is added."""

    min: int = Field(default=1, ge=1)
    max: int | None = Field(default=None, ge=1, description="None: always `min`.")
    target_ongoing_requests: int = Field(default=32, ge=1, description="Autoscaling's aim for each replica.")

    @model_validator(mode="after")
    def _max_is_not_below_min(self) -> "Replicas":
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max is {self.max}, but min is {self.min}")
        return self


class TokenPrice(Frozen):
    """Dollars per million tokens, for the estimated cost in the metrics; `plan --cost` prints them."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class ModelSpec(Frozen):
    """One model: its weights, its hardware, and every vLLM option through `engine_kwargs`."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    source: str = Field(
        description="A Hugging Face id, a path (relative ones from the repository's root), s3:// or gs://."
    )
    description: str = ""
    accelerator: Literal["cpu", "gpu"] = "gpu"
    accelerator_type: str | None = Field(default=None, description="Ray's name of the GPU, such as H100 or L40S.")
    gpu_memory_gib: float | None = Field(default=None, gt=0, description="Of one GPU; for `deployments.plan`.")
    shape: ModelShape | None = Field(default=None, description="Needed where config.json is not local.")
    engine_kwargs: Mapping[str, Any] = Field(default_factory=dict, description="Passed to vLLM as they are.")
    placement: Mapping[str, Any] | None = Field(default=None, description="ray.serve.llm's placement_group_config.")
    env: Mapping[str, str] = Field(default_factory=dict, description="Environment of the replica and its engine.")
    replicas: Replicas = Replicas()
    max_ongoing_requests: int = Field(default=256, ge=1, description="Per replica; more wait in the callers.")
    max_queued_requests: int = Field(default=1024, ge=-1, description="Waiting in one caller; beyond it, 429.")
    num_cpus: float = Field(default=1, ge=0, description="Of the replica itself.")
    deadline_s: float = Field(default=600, gt=0, description="For a call that brings no deadline of its own.")
    health_check_period_s: float = Field(default=10, gt=0)
    health_check_timeout_s: float = Field(default=60, gt=0)
    drain_s: float = Field(default=30, ge=0, description="How long a replica told to stop waits for its requests.")
    usd_per_million_tokens: TokenPrice | None = Field(default=None, description="None: not part of the estimated cost.")

    @field_validator("engine_kwargs")
    @classmethod
    def _numbers_are_numbers(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        numbers = {}
        for name in [name for name in TYPED_ENGINE_OPTIONS if name in given]:
            kind, noun = TYPED_ENGINE_OPTIONS[name]
            try:
                numbers[name] = kind.validate_python(given[name])
            except ValidationError:
                raise ValueError(f"{name} must be {noun}, not {shown(given[name])}") from None
        return {**given, **numbers}

    @model_validator(mode="after")
    def _engine_kwargs_are_complete(self) -> "ModelSpec":
        if reserved := {"model", "served_model_name"} & set(self.engine_kwargs):
            raise ValueError(f"remove {sorted(reserved)} from engine_kwargs: 'id' and 'source' say it")
        if "max_model_len" not in self.engine_kwargs:
            raise ValueError(f"model '{self.id}' must say engine_kwargs.max_model_len, its context in tokens")
        if self.accelerator == "cpu" and self.gpus:
            raise ValueError(f"model '{self.id}' runs on the CPU; remove accelerator_type, or set accelerator: gpu")
        return self

    @property
    def context_tokens(self) -> int:
        return int(self.engine_kwargs["max_model_len"])

    @property
    def workers(self) -> int:
        """Engine workers of one replica: tensor times pipeline parallel."""
        return int(self.engine_kwargs.get("tensor_parallel_size", 1)) * int(
            self.engine_kwargs.get("pipeline_parallel_size", 1)
        )

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.workers if self.accelerator == "gpu" or self.accelerator_type else 0

    @property
    def path(self) -> Path | None:
        """The weights' directory where it is local."""
        path = Path(self.source) if Path(self.source).is_absolute() else ROOT / self.source
        return path if path.is_dir() else None


class ExternalSpec(Frozen):
    """A model that somebody else serves: any OpenAI-compatible endpoint, as proposer or aggregator."""

    renamed: ClassVar[Mapping[str, str]] = {"lacks": "unsupported"}

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    base_url: str = Field(pattern=r"^https?://", description="Up to and with /v1.")
    upstream_model: str | None = Field(default=None, description="The endpoint's name for it, where it is not `id`.")
    api_key_env: str | None = Field(default=None, description="The environment variable that holds the key.")
    context_tokens: int = Field(ge=1)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    unsupported: frozenset[Literal["logprobs", "n"]] = Field(
        default=frozenset(),
        description="What recipes may need and it cannot. Without n, several answers are as many calls.",
    )
    connect_timeout_s: float = Field(default=5, gt=0)
    silence_timeout_s: float = Field(default=120, gt=0, description="The longest wait for the next byte of an answer.")
    usd_per_million_tokens: TokenPrice | None = None

    def engine(self) -> OpenAIEngine:
        """Raises `ConfigError` where the key's variable is empty."""
        return OpenAIEngine(
            self.id,
            self.base_url,
            self.upstream_model,
            self.api_key_env,
            self.max_tokens_field,
            self.connect_timeout_s,
            self.silence_timeout_s,
            context_tokens=self.context_tokens,
            unsupported=self.unsupported,
        )


class OrchestratorSpec(Frozen):
    """The HTTP deployment, which runs the recipes."""

    replicas: Replicas = Replicas(target_ongoing_requests=100)
    max_ongoing_requests: int = Field(default=4096, ge=1, description="Open HTTP requests per replica.")
    num_cpus: float = Field(default=0.5, ge=0)
    resources: Mapping[str, float] = Field(default_factory=dict, description="Ray's custom ones, to choose its nodes.")
    drain_s: float = Field(default=30, ge=0)
    limits: Limits = Limits()


class Profile(Frozen):
    """A whole server."""

    name: str = Field(min_length=1)
    description: str = ""
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    external: tuple[ExternalSpec, ...] = ()
    team: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict, description="Who plays the presets' roles.")
    recipes: tuple[str | Mapping[str, Any], ...] = ()
    api: ApiSettings = ApiSettings()
    orchestrator: OrchestratorSpec = OrchestratorSpec()
    env: Mapping[str, str] = Field(default_factory=dict, description="Environment of every replica.")
    memory_gib: float = Field(default=0, ge=0, description="What a single machine needs; checked before a local start.")

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Profile":
        ids = [model.id for model in self.served]
        if twice := {model_id for model_id in ids if ids.count(model_id) > 1}:
            raise ValueError(f"two models are called {sorted(twice)}; rename one")
        return self

    @property
    def served(self) -> "tuple[ModelSpec | ExternalSpec, ...]":
        """All models that recipes can name."""
        return (*self.models, *self.external)

    @property
    def contexts(self) -> dict[str, int]:
        """Tokens that each model's context holds, by model id."""
        return {model.id: model.context_tokens for model in self.served}

    @property
    def gpus(self) -> int:
        """GPUs at the least number of replicas."""
        return sum(model.gpus * model.replicas.min for model in self.models)

    @property
    def cpus(self) -> float:
        """CPUs that Ray must be told of for the least number of replicas; they are not pinned to processes."""
        models = sum((m.num_cpus + (m.workers if m.accelerator == "cpu" else 0)) * m.replicas.min for m in self.models)
        return models + self.orchestrator.num_cpus * self.orchestrator.replicas.min


def load_profile(name: str) -> Profile:
    """The profile called `name`, or the one in the YAML file `name`.

    Raises:
        ConfigError: there is none, or it has a wrong or an unknown field.
    """
    raw = PROFILE_DIRECTORY.read(name)
    try:
        return Profile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{name}: {first_issue(error, whole='the profile').sentence}") from None

"""Profiles: models, their hardware and the recipes on top of them. Read from YAML, frozen, unknown keys refused."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from serving.api.settings import ApiSettings
from serving.config import Frozen, YamlDirectory
from serving.engines.openai import OpenAIEngine
from serving.errors import ConfigError
from serving.recipes.cost import Limits
from serving.types import Thinking
from serving.validation import first_issue, shown

PROFILES = Path(__file__).parent / "profiles"
PROFILE_DIRECTORY = YamlDirectory(PROFILES, "profile", required_keys=("name", "models"))
ROOT = Path(__file__).parent.parent
# vLLM options that plans are computed from, with their types: vLLM itself checks them only when its engine starts.
TYPED_ENGINE_OPTIONS: Mapping[str, tuple[TypeAdapter[Any], str]] = {
    **{
        name: (TypeAdapter(Annotated[int, Field(ge=1)]), "an integer above 0")
        for name in ("max_model_len", "tensor_parallel_size", "pipeline_parallel_size")
    },
    "gpu_memory_utilization": (TypeAdapter(Annotated[float, Field(gt=0, le=1)]), "a number above 0 and at most 1"),
    **{
        name: (TypeAdapter(Annotated[str, Field(min_length=1)]), "a text")
        for name in ("reasoning_parser", "tool_call_parser", "chat_template")
    },
    "enable_auto_tool_choice": (TypeAdapter(Annotated[bool, Field(strict=True)]), "true or false"),
    "default_chat_template_kwargs": (TypeAdapter(dict[str, Any]), "a mapping of names to values"),
}
# Options of vLLM's own API server that the replica honours itself; vLLM's engine does not know them.
SERVER_OPTIONS = frozenset(
    {"tool_call_parser", "enable_auto_tool_choice", "chat_template", "default_chat_template_kwargs"}
)

ModelId = Annotated[
    str,
    Field(
        min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name in recipes and the API."
    ),
]


class AppArgs(Frozen):
    """Arguments of `serve run deployments:moa_app key=value`."""

    profile: str = Field(
        default="", description="Name of a profile, or path of a YAML file. Empty: 'tiny', or 'lite' with GPUs."
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


class ModelShape(Frozen):
    """Sizes of a model, as in its config.json, from which memory is computed. Local weights need none."""

    parameters: int = Field(ge=1, description="Number of parameters, all experts included.")
    layers: int = Field(ge=1, description="Number of transformer layers.")
    kv_heads: int = Field(ge=1, description="Number of key-value heads.")
    head_dim: int = Field(ge=1, description="Size of one attention head.")
    weight_bits: float = Field(
        default=16, gt=0, description="Bits per parameter as served: 16 for bf16, 8 for FP8, about 4.5 for AWQ."
    )
    kv_bits: int = Field(default=16, ge=4, description="Bits per value in the key-value cache.")

    @property
    def weight_bytes(self) -> float:
        """Size of all weights as served."""
        return self.parameters * self.weight_bits / 8

    @property
    def kv_bytes_per_token(self) -> float:
        """Keys and values of all layers for one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.kv_bits / 8


class Replicas(Frozen):
    """Number of replicas, and the load at which Serve adds one."""

    min: int = Field(default=1, ge=1, description="Minimum number of replicas.")
    max: int | None = Field(default=None, ge=1, description="Maximum number of replicas. None: `min`, no autoscaling.")
    target_ongoing_requests: int = Field(
        default=32, ge=1, description="Requests in progress per replica that autoscaling aims for."
    )

    @model_validator(mode="after")
    def _max_is_not_below_min(self) -> "Replicas":
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max is {self.max}, but min is {self.min}")
        return self


class TokenPrice(Frozen):
    """Dollars per million tokens, for the estimated cost in the metrics; `plan --cost` prints them."""

    prompt: float = Field(ge=0, description="Dollars per million prompt tokens.")
    completion: float = Field(ge=0, description="Dollars per million completion tokens.")


class ThinkingSpec(Frozen):
    """Arguments of a model's chat template that control its thinking; needs `engine_kwargs.reasoning_parser`."""

    switch_arg: str | None = Field(
        default=None,
        description="Template argument that takes true or false, such as enable_thinking. None: it cannot be switched.",
    )
    effort_arg: str | None = Field(
        default=None, description="Template argument that takes the effort, such as reasoning_effort. None: no levels."
    )
    default: bool = Field(default=True, description="The model thinks unless a request or an agent says otherwise.")

    def enabled(self, thinking: Thinking) -> bool:
        """True if the model is to think."""
        if thinking.enabled is not None:
            return thinking.enabled
        return self.default if thinking.effort is None else thinking.effort != "none"

    def template_args(self, thinking: Thinking) -> dict[str, Any]:
        """Template arguments for what `thinking` sets itself; the model's own default is not part of them."""
        found: dict[str, Any] = {}
        if thinking.enabled is None and thinking.effort is None:
            return found
        enabled = self.enabled(thinking)
        if self.switch_arg is not None:
            found[self.switch_arg] = enabled
        if self.effort_arg is not None:
            if enabled and thinking.effort is not None:
                found[self.effort_arg] = thinking.effort
            elif not enabled and self.switch_arg is None:
                found[self.effort_arg] = "none"
        return found


class ModelSpec(Frozen):
    """A model served here: its weights, its hardware and, through `engine_kwargs`, every vLLM option."""

    id: ModelId
    source: str = Field(
        description="Weights: a Hugging Face id, a path (relative to the repository's root), or an s3:// or gs:// URL."
    )
    description: str = Field(default="", description="One line for people.")
    accelerator: Literal["cpu", "gpu"] = Field(default="gpu", description="Hardware that the engine runs on.")
    accelerator_type: str | None = Field(
        default=None, description="Ray's name of the GPU, such as H100 or L40S. None: any GPU."
    )
    gpu_memory_gib: float | None = Field(
        default=None, gt=0, description="Memory of one GPU, for `deployments.plan`. None: not checked."
    )
    shape: ModelShape | None = Field(default=None, description="Sizes of the model; needed if its files are not local.")
    engine_kwargs: Mapping[str, Any] = Field(
        default_factory=dict,
        description="vLLM's engine options, passed unchanged; max_model_len is required. Of its server's options:"
        " tool_call_parser (implies enable_auto_tool_choice), chat_template (text or path) and"
        " default_chat_template_kwargs.",
    )
    thinking: ThinkingSpec | None = Field(
        default=None, description="How the chat template switches thinking. None: it is as the template has it."
    )
    tools: bool | None = Field(
        default=None,
        description="The model accepts tools. None: if it has a tool_call_parser. Without one, `true` allows"
        " tool_choice required or a named function, which are structured output.",
    )
    placement: Mapping[str, Any] | None = Field(default=None, description="ray.serve.llm's placement_group_config.")
    env: Mapping[str, str] = Field(
        default_factory=dict, description="Environment variables of the replica and its engine."
    )
    replicas: Replicas = Field(default=Replicas(), description="Number of replicas.")
    max_ongoing_requests: int = Field(
        default=256, ge=1, description="Requests in progress per replica; more wait in the orchestrator replicas."
    )
    max_queued_requests: int = Field(
        default=1024, ge=-1, description="Requests waiting in one orchestrator replica; more are refused with 429."
    )
    num_cpus: float = Field(default=1, ge=0, description="CPUs that Ray reserves for the replica, without its engine.")
    deadline_s: float = Field(default=600, gt=0, description="Deadline of a call without one of its own.")
    health_check_period_s: float = Field(default=10, gt=0, description="Time between health checks of a replica.")
    health_check_timeout_s: float = Field(default=60, gt=0, description="Time after which a health check has failed.")
    drain_s: float = Field(
        default=30, ge=0, description="Time for which a stopping replica waits for its requests to finish."
    )
    usd_per_million_tokens: TokenPrice | None = Field(
        default=None, description="Price of the model's tokens. None: left out of the estimated cost."
    )

    @field_validator("engine_kwargs")
    @classmethod
    def _typed_options_have_their_type(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        numbers = {}
        for name in TYPED_ENGINE_OPTIONS.keys() & options.keys():
            adapter, noun = TYPED_ENGINE_OPTIONS[name]
            try:
                numbers[name] = adapter.validate_python(options[name])
            except ValidationError:
                raise ValueError(f"{name} must be {noun}, not {shown(options[name])}") from None
        return {**options, **numbers}

    @model_validator(mode="after")
    def _engine_kwargs_are_complete(self) -> "ModelSpec":
        if reserved := {"model", "served_model_name"} & set(self.engine_kwargs):
            raise ValueError(f"remove {sorted(reserved)} from engine_kwargs; 'id' and 'source' set them")
        if "max_model_len" not in self.engine_kwargs:
            raise ValueError(f"set engine_kwargs.max_model_len of model '{self.id}' to its context length in tokens")
        if self.accelerator == "cpu" and self.gpus:
            raise ValueError(f"model '{self.id}' runs on the CPU; remove accelerator_type, or set accelerator: gpu")
        return self

    @model_validator(mode="after")
    def _parsers_are_complete(self) -> "ModelSpec":
        automatic = self.engine_kwargs.get("enable_auto_tool_choice")
        if automatic is not None and automatic is not (self.tool_call_parser is not None):
            raise ValueError(
                f"remove enable_auto_tool_choice of model '{self.id}'; tool_call_parser alone turns it on or off"
            )
        if self.thinking is not None and self.reasoning_parser is None:
            raise ValueError(f"set engine_kwargs.reasoning_parser of model '{self.id}'; `thinking` needs it")
        return self

    @property
    def reasoning_parser(self) -> str | None:
        """Name of vLLM's parser that separates reasoning from text."""
        return self.engine_kwargs.get("reasoning_parser")

    @property
    def tool_call_parser(self) -> str | None:
        """Name of vLLM's parser that reads the model's own tool calls."""
        return self.engine_kwargs.get("tool_call_parser")

    @property
    def accepts_tools(self) -> bool:
        """True if the model accepts tools."""
        return self.tool_call_parser is not None if self.tools is None else self.tools

    @property
    def thinks(self) -> bool:
        """True if the model's reasoning is separated from its text."""
        return self.reasoning_parser is not None

    @property
    def chat_template(self) -> str | None:
        """Text of the chat template in place of the tokenizer's own.

        Raises:
            ConfigError: the file cannot be read.
        """
        given: str | None = self.engine_kwargs.get("chat_template")
        if given is None or "{" in given or "\n" in given:
            return given
        for path in (Path(given), ROOT / given, *([self.path / given] if self.path is not None else [])):
            if path.is_file():
                return path.read_text(encoding="utf-8")
        raise ConfigError(f"The chat template '{given}' of '{self.id}' is no file; correct its path.")

    def template_args(self, thinking: Thinking, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the chat template: defaults, then `thinking`, then those `given` by the request."""
        spec = self.thinking
        found = {} if spec is None or spec.switch_arg is None else {spec.switch_arg: spec.default}
        found |= self.engine_kwargs.get("default_chat_template_kwargs", {})
        return {**found, **(spec.template_args(thinking) if spec is not None else {}), **given}

    @property
    def context_tokens(self) -> int:
        """Length of the context."""
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
        """Directory of the weights if it is local."""
        path = Path(self.source) if Path(self.source).is_absolute() else ROOT / self.source
        return path if path.is_dir() else None


class ExternalSpec(Frozen):
    """A model behind another OpenAI-compatible endpoint; recipes use it like any other model."""

    renamed: ClassVar[Mapping[str, str]] = {"lacks": "unsupported"}

    id: ModelId
    base_url: str = Field(pattern=r"^https?://", description="URL of the endpoint, up to and including /v1.")
    upstream_model: str | None = Field(default=None, description="Name of the model at the endpoint. None: `id`.")
    api_key_env: str | None = Field(
        default=None, description="Environment variable that holds the API key. None: no key is sent."
    )
    context_tokens: int = Field(ge=1, description="Length of the model's context.")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="Field in which the endpoint takes the token limit."
    )
    unsupported: frozenset[Literal["logprobs", "n"]] = Field(
        default=frozenset(),
        description="Features that the endpoint lacks. Without n, several answers are as many calls.",
    )
    connect_timeout_s: float = Field(default=5, gt=0, description="Time limit for connecting.")
    silence_timeout_s: float = Field(
        default=120, gt=0, description="Time limit for the next byte of an answer, the first included."
    )
    usd_per_million_tokens: TokenPrice | None = Field(
        default=None, description="Price of the model's tokens. None: left out of the estimated cost."
    )

    def engine(self) -> OpenAIEngine:
        """Build the engine that calls the endpoint.

        Raises:
            ConfigError: the variable `api_key_env` is not set.
        """
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
    """The HTTP deployment: the API and the recipes."""

    replicas: Replicas = Field(default=Replicas(target_ongoing_requests=100), description="Number of replicas.")
    max_ongoing_requests: int = Field(default=4096, ge=1, description="Open HTTP requests per replica.")
    num_cpus: float = Field(default=0.5, ge=0, description="CPUs that Ray reserves for a replica.")
    resources: Mapping[str, float] = Field(
        default_factory=dict, description="Custom Ray resources that a replica's node must have."
    )
    drain_s: float = Field(
        default=30, ge=0, description="Time for which a stopping replica waits for its requests to finish."
    )
    limits: Limits = Field(default=Limits(), description="Limits on the calls and tokens of one request.")


class Profile(Frozen):
    """A complete server: models, recipes, API and orchestrator."""

    name: str = Field(min_length=1, description="Name of the profile.")
    description: str = Field(default="", description="One line for people.")
    models: tuple[ModelSpec, ...] = Field(min_length=1, description="Models served here.")
    external: tuple[ExternalSpec, ...] = Field(default=(), description="Models behind other endpoints.")
    team: Mapping[str, str | tuple[str, ...]] = Field(
        default_factory=dict, description="Model of each role in the preset recipes."
    )
    recipes: tuple[str | Mapping[str, Any], ...] = Field(
        default=(), description="Recipes: names of presets, presets with changes, or complete definitions."
    )
    api: ApiSettings = Field(default=ApiSettings(), description="Settings of the HTTP API.")
    orchestrator: OrchestratorSpec = Field(default=OrchestratorSpec(), description="The HTTP deployment.")
    env: Mapping[str, str] = Field(default_factory=dict, description="Environment variables of every replica.")
    memory_gib: float = Field(
        default=0, ge=0, description="Free memory that a machine needs; checked before a cluster is started on it."
    )

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Profile":
        ids = [model.id for model in self.served]
        if duplicates := {model_id for model_id in ids if ids.count(model_id) > 1}:
            raise ValueError(f"several models have the id '{min(duplicates)}'; rename all but one")
        return self

    @property
    def served(self) -> "tuple[ModelSpec | ExternalSpec, ...]":
        """All models that recipes can use."""
        return (*self.models, *self.external)

    @property
    def contexts(self) -> dict[str, int]:
        """Context length of each model in tokens, by id."""
        return {model.id: model.context_tokens for model in self.served}

    @property
    def gpus(self) -> int:
        """GPUs for the minimum number of replicas."""
        return sum(model.gpus * model.replicas.min for model in self.models)

    @property
    def cpus(self) -> float:
        """CPUs that Ray must count for the minimum number of replicas; no process is pinned to them."""
        models = sum((m.num_cpus + (m.workers if m.accelerator == "cpu" else 0)) * m.replicas.min for m in self.models)
        return models + self.orchestrator.num_cpus * self.orchestrator.replicas.min


def unknown_parser(model: str, option: str, name: str, known: Iterable[str]) -> str:
    """Sentence for a parser that vLLM does not have, with the most similar names."""
    names = sorted(known)
    nearest = get_close_matches(name, names, 3, cutoff=0.4) or names
    return f"vLLM has no {option} '{name}' (engine_kwargs of '{model}'); choose one of: {', '.join(nearest)}."


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

"""Models that a profile serves on vLLM: weights, hardware, engine options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from deployments.adapter_spec import Accelerator, AdapterSpec, lora_problem
from deployments.engine_kwargs import TEMPLATE_MODES, options_problem, typed_options
from deployments.modalities import checked_modalities
from deployments.model_identity import ModelId, TokenPrice
from deployments.model_shape import ModelShape
from deployments.task_options import task_problem
from deployments.thinking_spec import ThinkingSpec
from deployments.weights_source import ROOT, Source, WeightsSource
from serving.cards import Task
from serving.config import Frozen
from serving.conversation import Modality, Thinking
from serving.engine import CONTINUING
from serving.errors import ConfigError
from serving.validation import shown

# Prompt formats of their own in which an assistant's last message cannot be left open.
HARMONY_PARSER = "openai_gptoss"
CLOSED_MODES = frozenset({"kimi_k3", "inkling"})  # of tokenizers

GRAMMAR_TIMEOUT_S, GRAMMAR_TOKEN_S = 5.0, 0.05


class Replicas(Frozen):
    """Number of replicas, and the load at which Serve adds one."""

    min: int = Field(
        default=1,
        ge=0,
        description="Minimum number of replicas. 0: none while there are no requests; `max` is then needed.",
    )
    max: int | None = Field(default=None, ge=1, description="Maximum number of replicas. None: `min`, no autoscaling.")
    target_ongoing_requests: int = Field(
        default=32, ge=1, description="Requests in progress per replica that autoscaling aims for."
    )
    idle_s: float = Field(
        default=1800,
        ge=0,
        description="With `min: 0`: time without requests after which the last replica is removed, in seconds.",
    )
    wait_s: float = Field(
        default=0,
        ge=0,
        description="With `min: 0`: time for which a call waits for the first replica, in seconds. Then it fails as"
        " unavailable: a recipe goes on without the model, a client may try again.",
    )

    @model_validator(mode="after")
    def _settings_fit_together(self) -> "Replicas":
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max is {self.max}, but min is {self.min}")
        if self.min == 0 and self.max is None:
            raise ValueError("min is 0; set max to the number of replicas that requests may start")
        # Not `model_fields_set`: a profile that crosses Ray as JSON sets every field.
        fields = type(self).model_fields
        without_effect = [name for name in ("idle_s", "wait_s") if getattr(self, name) != fields[name].default]
        if self.min and without_effect:
            named = " and ".join(without_effect)
            raise ValueError(f"{named} need min 0: with min {self.min} a replica is always there")
        return self


class ModelSpec(WeightsSource, Frozen):
    """A model served here: its weights, its hardware and, through `engine_kwargs`, every vLLM option."""

    id: ModelId
    source: Source = Field(
        description="Weights: a Hugging Face id, a path (relative to the repository's root), or an s3:// or gs:// URL."
    )
    fetch_command: str | None = Field(
        default=None,
        description="Command that writes the weights into `source`, a local path; the error for missing weights names"
        " it. None: there is none.",
    )
    description: str = Field(default="", description="One line for people.")
    task: Task = Field(
        default="generate",
        description="Requests that the model answers: `generate` (text, for recipes and chats), `embed`"
        " (/v1/embeddings, and /v1/rerank by the vectors' cosine) or `rerank` (/v1/rerank, by a cross-encoder).",
    )
    accelerator: Accelerator = Field(default="gpu", description="Hardware that the engine runs on.")
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
    strict_tools: bool = Field(
        default=False,
        description="Hold the model's own tool calls to the offered names and schemas by a grammar, as if all tools had"
        " `strict: true`. Needs a tool_call_parser for whose format vLLM has a structural tag.",
    )
    modalities: tuple[Modality, ...] = Field(
        default=("text",),
        description="What the model reads in messages: [text], or [text, image] if it has a vision part; others read"
        " `[image]` in place of an image. Without limit_mm_per_prompt in engine_kwargs, a prompt may have"
        " `api.images.max_images` images.",
    )
    adapters: tuple[AdapterSpec, ...] = Field(
        default=(),
        description="LoRA adapters, each served as a model of its own by the replicas of this one. max_loras (in one"
        " batch; default: all, up to 8) and max_lora_rank (default: the largest rank of the adapters) of engine_kwargs"
        " bound their memory.",
    )
    placement: Mapping[str, Any] | None = Field(default=None, description="ray.serve.llm's placement_group_config.")
    env: Mapping[str, str] = Field(
        default_factory=dict, description="Environment variables of the replica and its engine."
    )
    replicas: Replicas = Field(default=Replicas(), description="Number of replicas.")
    max_counted_tokens: int = Field(
        default=262_144,
        ge=1,
        description="Longest prompt in tokens that /tokenize and count_tokens count, if the context is not longer.",
    )
    max_ongoing_requests: int = Field(
        default=1024,
        ge=1,
        description="Requests in progress per replica. More wait in the orchestrator replicas, in the order in which"
        " they came: priorities and the keys' shares order those that a replica has.",
    )
    max_queued_requests: int = Field(
        default=1024, ge=-1, description="Requests waiting in one orchestrator replica; more are refused with 429."
    )
    num_cpus: float = Field(default=1, ge=0, description="CPUs that Ray reserves for the replica, without its engine.")
    deadline_s: float = Field(default=600, gt=0, description="Deadline of a call without one of its own.")
    grammar_timeout_s: float = Field(
        default=GRAMMAR_TIMEOUT_S,
        gt=0,
        description="Deadline of compiling the grammar of a request (its schema, pattern or tools), in seconds; then"
        " 400.",
    )
    grammar_token_s: float = Field(
        default=GRAMMAR_TOKEN_S,
        gt=0,
        description="CPU time that a grammar may cost the engine for each token, in seconds; beyond it, 400. All"
        " requests of the engine wait meanwhile.",
    )
    health_check_period_s: float = Field(default=10, gt=0, description="Time between health checks of a replica.")
    health_check_timeout_s: float = Field(default=60, gt=0, description="Time after which a health check has failed.")
    drain_s: float = Field(
        default=30, ge=0, description="Time for which a stopping replica waits for its requests to finish."
    )
    usd_per_million_tokens: TokenPrice | None = Field(
        default=None, description="Price of the model's tokens. None: left out of the estimated cost."
    )

    @field_validator("placement")
    @classmethod
    def _a_worker_has_one_gpu_or_a_part(cls, placement: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        worker = (placement or {}).get("bundle_per_worker")
        share = worker.get("GPU", 1) if isinstance(worker, Mapping) else 1
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ValueError(f"bundle_per_worker.GPU must be a number above 0 and at most 1, not {shown(share)}")
        return placement

    @field_validator("modalities")
    @classmethod
    def _text_is_read(cls, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
        return checked_modalities(modalities)

    @field_validator("engine_kwargs")
    @classmethod
    def _typed_options_have_their_type(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return typed_options(options)

    @model_validator(mode="after")
    def _engine_kwargs_are_complete(self) -> "ModelSpec":
        if (problem := options_problem(self.id, self.engine_kwargs)) is not None:
            raise ValueError(problem)
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
        if self.strict_tools and self.tool_call_parser is None:
            raise ValueError(f"set engine_kwargs.tool_call_parser of model '{self.id}'; `strict_tools` needs it")
        if self.thinking is not None and self.reasoning_parser is None:
            raise ValueError(f"set engine_kwargs.reasoning_parser of model '{self.id}'; `thinking` needs it")
        return self

    @model_validator(mode="after")
    def _options_fit_the_task(self) -> "ModelSpec":
        settings = [name for name in ("thinking", "tools") if getattr(self, name) is not None]
        settings += ["strict_tools"] if self.strict_tools else []
        if (problem := task_problem(self.id, self.task, self.engine_kwargs, settings)) is not None:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _adapters_can_be_served(self) -> "ModelSpec":
        problem = lora_problem(self.id, self.adapters, self.engine_kwargs, self.task, self.accelerator)
        if problem is not None:
            raise ValueError(problem)
        return self

    @property
    def as_adapters(self) -> "tuple[ModelSpec, ...]":
        """This model as each of its adapters: another id, description and price, and no adapters."""
        return tuple(
            self.model_copy(
                update={
                    "id": adapter.id,
                    "description": adapter.description,
                    "usd_per_million_tokens": adapter.usd_per_million_tokens or self.usd_per_million_tokens,
                    "adapters": (),
                }
            )
            for adapter in self.adapters
        )

    @property
    def generates(self) -> bool:
        """True if the model generates text, so that recipes can use it."""
        return self.task == "generate"

    @property
    def tokenizer_mode(self) -> str:
        """VLLM's kind of tokenizer."""
        return str(self.engine_kwargs.get("tokenizer_mode", "auto"))

    @property
    def takes_template(self) -> bool:
        """True if prompts are written by a Jinja template, which may be another one."""
        return self.tokenizer_mode in TEMPLATE_MODES

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
    def unsupported(self) -> frozenset[str]:
        """Abilities that the model's prompt format lacks, see `EngineInfo`."""
        own_format = self.reasoning_parser == HARMONY_PARSER or self.tokenizer_mode in CLOSED_MODES
        return frozenset({CONTINUING}) if own_format else frozenset()

    @property
    def sees(self) -> bool:
        """True if the model reads images."""
        return "image" in self.modalities

    def image_limit(self, max_images: int) -> int | None:
        """Most images in one prompt if a request may have `max_images`. None: vLLM's own limit."""
        if not self.sees:
            return 0
        given = self.engine_kwargs.get("limit_mm_per_prompt")
        if not isinstance(given, Mapping):
            return max_images
        image = given.get("image")
        return image.get("count") if isinstance(image, Mapping) else image

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
    def gpu_share(self) -> float:
        """Part of each of its GPUs that Ray reserves for the model; below 1, models share a GPU."""
        worker = (self.placement or {}).get("bundle_per_worker") or {}
        return float(worker.get("GPU", 1))

"""The domain's values: what is asked of an engine and what comes back.

Frozen and slotted, so that the messages of one agent can never be changed through another's.
Wire models (pydantic) live in `serving.api.schema`; nothing here knows of HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What the text must be: any JSON object, or JSON that fits `schema`."""

    type: Literal["json_object", "json_schema"]
    name: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens. `None` means the model's own default, never zero."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None  # None: whatever the context, and a request's `token_cap`, still hold
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logprobs: int | None = None  # alternatives per token; 0: the chosen token alone; None: off
    response_format: ResponseFormat | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool = False
    min_tokens: int = 0

    @property
    def deterministic(self) -> bool:
        """Whether two calls with this sampling must give the same text."""
        return self.n == 1 and (self.temperature == 0 or self.seed is not None)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One call of one engine (a model or a recipe)."""

    request_id: str
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    priority: int = 0  # as vLLM orders: the lower, the earlier
    deadline_s: float | None = None  # from the call's start; None: the engine's own limit
    min_answer_tokens: int = 0  # without max_tokens: the context must hold so many beside the prompt, or it is too long
    token_cap: int | None = None  # without max_tokens: no longer an answer; unlike it, no demand on the context
    # So many tokens may come together, however late the first of them. None: nobody reads them as they come; one delta
    # at the end is welcome.
    stream_interval: int | None = 1
    # Prefill only: compute the prompt up to this marker's first occurrence in the messages, generate nothing.
    prefill_marker: str | None = None
    user: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # the request's `moa` object; recipes read it

    @property
    def streaming(self) -> bool:
        """Whether somebody reads tokens as they come."""
        return self.stream_interval is not None


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts. `None` is "lost", so that unknown stays distinguishable from zero."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cached_tokens: int | None = 0  # the part of prompt_tokens served from the prefix cache

    @property
    def total_tokens(self) -> int | None:
        return _add(self.prompt_tokens, self.completion_tokens)

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            _add(self.prompt_tokens, other.prompt_tokens),
            _add(self.completion_tokens, other.completion_tokens),
            _add(self.cached_tokens, other.cached_tokens),
        )


def _add(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token: str
    logprob: float
    token_bytes: bytes = b""
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, as the engine itself measured them. `None`: not known."""

    queue_s: float | None = None  # waiting in the engine before prefill
    ttft_s: float | None = None  # from arrival at the engine to its first token
    total_s: float | None = None


AgentStatus = Literal["ok", "empty", "failed", "timeout", "straggler", "cancelled"]


@dataclass(frozen=True, slots=True)
class AgentTrace:
    """What one agent of one layer did. Layers count from 1; the aggregator's is the last."""

    layer: int
    agent: int
    role: str  # "proposer", "aggregator", or a recipe's own word ("judge", "critic", ...)
    model: str
    outcome: AgentStatus
    text: str = ""
    usage: TokenUsage = field(default_factory=TokenUsage)
    started_s: float = 0.0  # after the request's start
    timing: Timing = field(default_factory=Timing)
    error: str | None = None  # why the outcome is not "ok"
    hedged: bool = False  # the answer came from a second attempt
    shortened: int = 0  # how many references were cut to fit the model's context
    elapsed_s: float | None = None  # as the orchestrator saw it: the engine's time and the way there and back
    uncounted: int = 0  # attempts beside the one that answered, whose tokens nobody can count


@dataclass(frozen=True, slots=True)
class Report:
    """How a recipe came to its answer; rides on the terminal delta."""

    recipe: str
    degraded: bool
    reasons: tuple[str, ...]  # one sentence for each way in which the answer is degraded or its usage not whole
    agents: tuple[AgentTrace, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a stream. See `serving.engine` for the stream contract."""

    text: str = ""
    index: int = 0  # which of the `n` choices
    logprobs: tuple[TokenLogprob, ...] | None = None
    finish_reason: FinishReason | None = None
    usage: TokenUsage | None = None  # set on the terminal delta alone
    timing: Timing | None = None
    report: Report | None = None

    @property
    def terminal(self) -> bool:
        return self.usage is not None


@dataclass(frozen=True, slots=True)
class Choice:
    text: str
    finish_reason: FinishReason
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the fold of a stream."""

    choices: tuple[Choice, ...]
    usage: TokenUsage
    timing: Timing = field(default_factory=Timing)
    report: Report | None = None

    @property
    def text(self) -> str:
        return self.choices[0].text


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What `/v1/models` says of one model id."""

    id: str
    kind: Literal["model", "recipe"]
    context_tokens: int | None = None
    description: str = ""

"""Domain values: the request an engine receives and the stream it returns.

Frozen and slotted, so that the messages of one agent can never be changed through another agent's.
Wire models (pydantic) are in `serving.api.schemas.chat`; nothing here depends on HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from serving.conversation import FinishReason, Message, Thinking, Tool, ToolCall, ToolCallDelta, ToolChoice
from serving.decoding import PLAIN_DECODING, Decoding
from serving.references import ReferenceBlock
from serving.tenant import ANYONE, Tenant
from serving.trace_context import TraceContext
from serving.usage import TokenUsage, UsageScope

EventDetail = Literal["progress", "text"]
CacheStatus = Literal["hit", "miss", "stored"]  # an answer and the response cache; "stored": computed, and now there
# Where a prompt ends: where an answer begins; behind the last message; or within it, so that the answer continues it.
PromptEnd = Literal["answer", "message", "continued"]


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """Constraint on the text: any JSON object, JSON that satisfies `schema`, or what `rule` or `choices` say."""

    type: Literal["json_object", "json_schema", "regex", "grammar", "structural_tag", "choice"]
    name: str = ""
    schema: Mapping[str, Any] | None = None
    rule: str = ""  # a regular expression, a grammar, or a structural tag as JSON
    choices: tuple[str, ...] = ()  # the whole texts that are possible
    path: str = field(default="response_format", compare=False)  # field of the request in which it is, for errors


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. `None` means the model's own default, never zero."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None  # None: limited by the context and the request's `token_cap` only; 0: only the echo
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
    decoding: Decoding = PLAIN_DECODING

    @property
    def deterministic(self) -> bool:
        """True if two calls with this sampling must return the same text."""
        return self.n == 1 and (self.temperature == 0 or self.seed is not None)


@dataclass(frozen=True, slots=True)
class CacheOption:
    """Caching of whole answers: each is kept for `ttl_s` seconds. `None`: the response cache is off."""

    ttl_s: float | None


@dataclass(frozen=True, slots=True)
class MoaOptions:
    """The request's `moa` object. `overrides` are the recipe settings that the request changes."""

    trace: bool = False
    recipe: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    events: EventDetail | None = None  # events of the run in the stream; None: none
    show_reasoning: bool = False  # the proposals are shown to the caller as reasoning
    cache: CacheOption | None = None  # None: as the recipe or the server has it
    preview: bool = False  # the first proposal is shown to the caller as reasoning while it is written


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """Prompt that a model reads as it is, without a chat template: text or token ids.

    Control tokens in the text are the caller's own: they are not escaped, as those of messages are.
    """

    content: str | tuple[int, ...]
    add_special_tokens: bool = True  # those that the tokenizer puts around a text, such as a token for its beginning
    echo: bool = False  # each choice begins with the prompt, and its logprobs with those of the prompt
    path: str = field(default="prompt", compare=False)  # field of the request in which it is, for errors


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a prompt."""

    ids: tuple[int, ...]
    context_tokens: int  # size of the model's context
    texts: tuple[str, ...] | None = None  # of each token, as the tokenizer's vocabulary writes it; None: not asked for


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One call of one engine (a model or a recipe).

    The prompt is `messages` with `references` inserted, see `serving.runtime.prompts.prompt_messages`. They travel
    apart because the engine, which has the tokenizer, shortens the references to fit the context. With a `prompt`,
    which only engines with `EngineInfo.raw_prompts` take, there are no messages.
    """

    request_id: str
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    references: ReferenceBlock | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    parallel_tool_calls: bool = True
    thinking: Thinking = field(default_factory=Thinking)
    template_args: Mapping[str, Any] = field(default_factory=dict)  # of the chat template (`chat_template_kwargs`)
    priority: int = 0  # as in vLLM: lower runs earlier; tenants share an engine equally at equal priority
    deadline_s: float | None = None  # from the start of the call; None: the engine's own limit
    token_cap: int | None = None  # upper bound of the answer if max_tokens is None; unlike it, need not fit the context
    # Tokens per streamed delta after the first (vLLM's `stream_interval`). None: not streamed, one delta at the end.
    stream_interval: int | None = 1
    user: str | None = None
    session: str | None = None  # key of the conversation: its calls go to the replica that has its prefix cached
    metadata: Mapping[str, str] = field(default_factory=dict)
    moa: MoaOptions = field(default_factory=MoaOptions)
    running_usage: UsageScope | None = None  # deltas carry the usage so far; None: the terminal one alone has usage
    prompt_end: PromptEnd = "answer"  # "continued": the last message is an assistant's, and there are no tools
    prompt: RawPrompt | None = None  # read in place of messages
    cache_salt: str | None = None  # the caller's own: prompts share caches only with those of the same salt
    tenant: Tenant = ANYONE
    # Span below which this call belongs. No part of what is asked: equal requests stay equal, and share their work.
    trace: TraceContext | None = field(default=None, compare=False, repr=False)

    @property
    def prefix_salt(self) -> str | None:
        """Salt of prefix caches: the tenant's, and below it the caller's own. None: shared with all."""
        scope = self.tenant.scope
        if not scope:
            return self.cache_salt
        return scope if self.cache_salt is None else f"{scope}/{self.cache_salt}"

    @property
    def may_call_tools(self) -> bool:
        """True if the answer may be tool calls: there are tools, and they are not forbidden."""
        return bool(self.tools) and self.tool_choice.mode != "none"

    @property
    def has_rules(self) -> bool:
        """True if the request has tools, or a rule for the answer's text."""
        return bool(self.tools) or self.sampling.response_format is not None

    @property
    def image_count(self) -> int:
        """Number of images in the messages."""
        return sum(len(message.images) for message in self.messages)

    @property
    def streaming(self) -> bool:
        """True if the caller reads tokens as they are generated."""
        return self.stream_interval is not None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log probability of one token, with the most likely alternatives in `top`.

    It is NaN for the first token of an echoed prompt, which follows nothing.
    """

    token: str
    logprob: float
    token_bytes: bytes = b""
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds, as the engine itself measured them. `None`: unknown."""

    queue_s: float | None = None  # waiting in the engine before prefill
    ttft_s: float | None = None  # from arrival at the engine to its first token
    total_s: float | None = None


LOW_CONFIDENCE = "low_confidence"  # cause of an agent that was stopped because its confidence fell
AgentStatus = Literal["ok", "empty", "failed", "timeout", "straggler", "cancelled"]


@dataclass(frozen=True, slots=True)
class AgentTrace:
    """Record of one agent of one layer. Layers count from 1; the final agent is in the last."""

    layer: int
    agent: int
    role: str  # "proposer", "aggregator", or a strategy's own role ("judge", "critic", ...)
    model: str
    status: AgentStatus
    text: str = ""
    usage: TokenUsage = field(default_factory=TokenUsage)
    started_s: float = 0.0  # after the start of the request
    timing: Timing = field(default_factory=Timing)
    error: str | None = None  # reason for a status other than "ok"
    cause: str | None = None  # code of the error that ended the call, or LOW_CONFIDENCE
    hedged: bool = False  # the answer came from a second attempt
    shortened: int = 0  # references cut to fit the model's context
    elapsed_s: float | None = None  # measured by the orchestrator: the engine's time and the way there and back
    uncounted: int = 0  # other attempts, whose tokens are unknown
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    images: int = 0  # in its prompt; a model that reads text only gets none
    finish_reason: FinishReason | None = None  # None: its answer did not end


@dataclass(frozen=True, slots=True)
class Report:
    """Record of how a recipe made its answer; carried by the terminal delta."""

    recipe: str
    degraded: bool
    reasons: tuple[str, ...]  # one sentence per degradation, refill, vote, unknown token count and reuse of references
    agents: tuple[AgentTrace, ...]
    usage: TokenUsage = field(default_factory=TokenUsage)  # of the team: see `serving.runtime.report`
    answer_usage: TokenUsage | None = None  # of what wrote the answer, mostly one call; None: the same as `usage`
    cache: CacheStatus | None = None  # "hit": no engine was asked, and the usages are those of the stored answer


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of a stream. See `serving.engine` for the stream contract."""

    text: str = ""
    index: int = 0  # position among the `n` choices
    logprobs: tuple[TokenLogprob, ...] | None = None
    finish_reason: FinishReason | None = None
    usage: TokenUsage | None = None  # set on the terminal delta only
    timing: Timing | None = None
    report: Report | None = None
    shortened: int = 0  # references cut to fit the context; set on the terminal delta
    reasoning: str = ""  # thinking text; never part of `text`
    tool_calls: tuple[ToolCallDelta, ...] = ()
    stop: str | None = None  # the stop string that ended the choice, beside its finish reason; None: none, or unknown
    running_usage: TokenUsage | None = None  # usage so far, of all choices; None: not asked for, or unknown

    @property
    def terminal(self) -> bool:
        """True for the last delta of a stream."""
        return self.usage is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the `n` texts of a completion."""

    text: str
    finish_reason: FinishReason
    logprobs: tuple[TokenLogprob, ...] | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the fold of a stream."""

    choices: tuple[Choice, ...]
    usage: TokenUsage
    timing: Timing = field(default_factory=Timing)
    report: Report | None = None
    shortened: int = 0

    @property
    def text(self) -> str:
        """Text of the first choice."""
        return self.choices[0].text

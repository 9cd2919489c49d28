"""Bodies of `POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's Messages API.

Every field is applied or refused by name. `cache_control` and other fields without effect are hints: prompts are cached
without them. `moa` and `priority` are this server's.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FailFast, Field, WithJsonSchema

from serving.api.schemas.chat import StopText
from serving.api.schemas.chat_fields import FUNCTION_NAME, INT32_MAX, MOA, OBJECT_SCHEMA
from serving.api.schemas.unsupported_tools import OmittingBody
from serving.api.schemas.wire import Wire
from serving.tenant import PRIORITIES

NO_EFFECT = "No effect."
# What Claude Code sends to keep all thinking in the conversation, as this server does.
KEEPS_ALL = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
NEUTRAL: dict[str, tuple[object, ...]] = {
    "billing_policy": (),
    "compaction": (),
    "container": (),
    "context_management": ({}, {"edits": []}, KEEPS_ALL),
    "fallback_credit_token": (),
    "fallbacks": ([],),
    "inference_geo": (),
    "mcp_servers": ([],),
    "thread": (),
    "user_profile_id": (),
    "workspace_id": (),
}
NEUTRAL_IN_TOOL: dict[str, tuple[object, ...]] = {
    "allowed_callers": (["direct"],),
    "defer_loading": (False,),
    "input_examples": ([],),
}
NEUTRAL_IN_CALL: dict[str, tuple[object, ...]] = {"caller": ({"type": "direct"},), "toolset_name": ()}


class Block(Wire):
    """Field of all blocks."""

    cache_control: dict[str, Any] | None = Field(default=None, description="A hint without effect.")


class TextBlock(Block):
    """Text of a message."""

    type: Literal["text"]
    text: str
    citations: Any = Field(default=None, description=NO_EFFECT)
    parsed_output: Any = Field(default=None, description="No effect: Anthropic's client adds it to an answer.")


def _as_blocks(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Base64Source(Wire):
    """Data of an image."""

    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/webp", "image/gif"]
    data: str


class UrlSource(Wire):
    """Place of an image: `data:image/png;base64,...`, or a URL of a host that the operator allows."""

    type: Literal["url"]
    url: str


class ImageBlock(Block):
    """Image of a user's message or of a tool's result."""

    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]


TextBlocks = Annotated[list[TextBlock], FailFast(), BeforeValidator(_as_blocks, str | list[TextBlock])]


ResultBlock = Annotated[TextBlock | ImageBlock, Field(discriminator="type")]
ResultBlocks = Annotated[list[ResultBlock], FailFast(), BeforeValidator(_as_blocks, str | list[ResultBlock])]


class ThinkingBlock(Block):
    """Thinking of an earlier answer. If `thinking` is empty, it is taken from `signature`."""

    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(Block):
    """Thinking of another server, which cannot be read and has no effect."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Block):
    """Tool call of an earlier answer."""

    neutral = NEUTRAL_IN_CALL

    type: Literal["tool_use"]
    id: Annotated[str, Field(min_length=1, max_length=256)]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: dict[str, Any]


class ToolResultBlock(Block):
    """Result of a tool call."""

    neutral = {"toolset_name": ()}

    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(min_length=1, max_length=256)]
    content: ResultBlocks = []
    is_error: bool = Field(default=False, description='The model reads "Error: " before the content.')


UserBlock = Annotated[TextBlock | ImageBlock | ToolResultBlock, Field(discriminator="type")]
AssistantBlock = Annotated[
    TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock, Field(discriminator="type")
]


class UserTurn(Wire):
    """A user's message, with the results of the tool calls before it."""

    role: Literal["user"]
    content: Annotated[list[UserBlock], FailFast(), BeforeValidator(_as_blocks, str | list[UserBlock])]


class AssistantTurn(Wire):
    """An earlier answer."""

    role: Literal["assistant"]
    content: Annotated[list[AssistantBlock], FailFast(), BeforeValidator(_as_blocks, str | list[AssistantBlock])]


class SystemTurn(Wire):
    """A system message within the conversation."""

    role: Literal["system"]
    content: TextBlocks


class CustomTool(Block):
    """Tool that the model may call and the client runs."""

    neutral = NEUTRAL_IN_TOOL

    type: Literal["custom"] = "custom"
    name: str = Field(json_schema_extra=FUNCTION_NAME)
    description: str | None = None
    input_schema: Annotated[dict[str, Any], WithJsonSchema(OBJECT_SCHEMA)]
    strict: bool | None = None
    eager_input_streaming: bool | None = Field(default=None, description=NO_EFFECT)


class ToolMode(Wire):
    """Permission (`auto`), obligation (`any`) or prohibition (`none`) to call tools."""

    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool = False


class ChosenTool(Wire):
    """Tool that the model must call."""

    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool = False


class AdaptiveThinking(Wire):
    """As much thinking as the model finds right."""

    neutral = {"budget_tokens": (0,)}

    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = Field(
        default=None, description="`omitted`: thinking blocks have an empty `thinking`, and its text in `signature`."
    )


class EnabledThinking(AdaptiveThinking):
    """Thinking of at most `budget_tokens`."""

    neutral = {}

    type: Literal["enabled"]  # type: ignore[assignment]
    budget_tokens: int = Field(ge=1, le=INT32_MAX)


class DisabledThinking(Wire):
    """No thinking."""

    type: Literal["disabled"]


ThinkingParam = Annotated[AdaptiveThinking | EnabledThinking | DisabledThinking, Field(discriminator="type")]


class JsonFormat(Wire):
    """JSON that satisfies `schema`."""

    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")


class OutputConfig(Wire):
    """Effort and format of the answer."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="How much a model thinks that can be told so; `max` is `xhigh`."
    )
    format: JsonFormat | None = None
    task_budget: dict[str, Any] | None = Field(default=None, description="A hint without effect.")


class MetadataParam(Wire):
    """Data about the request."""

    user_id: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="The caller's name for its user; written to the request log only."
    )


class CountTokensBody(OmittingBody):
    """A request for the number of tokens of a prompt."""

    neutral = {name: NEUTRAL[name] for name in ("context_management", "mcp_servers", "user_profile_id", "workspace_id")}

    model: str = Field(min_length=1, max_length=256, description="Id of a model or a recipe.")
    messages: Annotated[
        list[Annotated[UserTurn | AssistantTurn | SystemTurn, Field(discriminator="role")]], FailFast()
    ] = Field(
        min_length=1,
        description="The conversation. An answer continues an assistant's message at its end. `content` is a string or"
        " a list of blocks: `text`, `image`, `tool_result`, `tool_use`, `thinking` and `redacted_thinking`.",
    )
    system: TextBlocks = Field(
        default=[],
        description="System message: a string or text blocks. Blocks that begin with `x-anthropic-billing-header:` are"
        " left out.",
    )
    tools: Annotated[list[CustomTool], FailFast()] = Field(
        default=[],
        description="Tools that the model may call and the client runs. Tools with types of Anthropic's are refused, or"
        " left out if the setting `unsupported_tools` is `omit`.",
    )
    tool_choice: Annotated[ToolMode | ChosenTool, Field(discriminator="type")] | None = Field(
        default=None,
        description="`auto`, `any`, `tool` with `name`, or `none`; with `disable_parallel_tool_use`. Default: `auto`.",
    )
    thinking: ThinkingParam | None = Field(
        default=None,
        description="`enabled` with `budget_tokens`, `adaptive`, or `disabled`. Default: the model's own setting. A"
        " model that does not think accepts all of them.",
    )
    output_config: OutputConfig | None = Field(default=None, description="`effort`, and `format` (`json_schema`).")
    cache_control: dict[str, Any] | None = Field(default=None, description="A hint without effect.")
    speed: Literal["standard", "fast"] | None = Field(default=None, description="A hint without effect.")


class MessagesBody(CountTokensBody):
    """A request of the Messages API."""

    neutral = NEUTRAL

    max_tokens: int = Field(ge=1, description="Maximum length of the answer in tokens, with its thinking.")
    stop_sequences: Annotated[list[StopText], FailFast(), Field(max_length=16)] = Field(
        default=[], description="Up to 16 strings; the answer ends before the first one that occurs."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=1, allow_inf_nan=False, description="Sampling temperature. Default: the model's own."
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, allow_inf_nan=False, description="Probability mass of nucleus sampling."
    )
    top_k: int | None = Field(
        default=None, ge=-1, le=INT32_MAX, description="Sample from the k most likely tokens; -1 or 0: all."
    )
    stream: bool = Field(default=False, description="Stream the answer as server-sent events.")
    metadata: MetadataParam | None = Field(default=None, description="`user_id`.")
    service_tier: str | None = Field(default=None, description="A hint without effect.")
    diagnostics: dict[str, Any] | None = Field(default=None, description="A hint without effect.")
    priority: int = Field(
        default=0,
        ge=0,
        le=PRIORITIES - 1,
        description="Engines run requests with lower values earlier, within the class of the caller's key.",
    )
    moa: dict[str, Any] = Field(
        default={},
        json_schema_extra=MOA,
        description="`trace`, `preview`, and settings of the recipe that a request may override.",
    )

"""Body of `POST /v1/chat/completions`. Every field is applied or refused by name; none is ignored.

Names and ranges follow OpenAI's chat completions reference. vLLM's extensions are in `vllm_fields`, fields without
effect in `chat_hints`; `moa` is an extension of this server. `null` means "not given", as in OpenAI's API, and is
always accepted.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, FailFast, Field, WithJsonSchema

from serving.api.schemas import chat_fields as fields
from serving.api.schemas.chat_hints import CacheControl, ChatHints
from serving.api.schemas.vllm_fields import VllmFields
from serving.api.schemas.wire import Wire, at_most
from serving.conversation import Effort

ChatRole = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(ChatRole)


class TextPart(Wire):
    """Text in the content of a message."""

    type: Literal["text"]
    text: str
    cache_control: CacheControl = None


class ImageUrl(Wire):
    """Place of an image: `data:image/png;base64,...`, or an http or https URL of a host that the operator allows."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = Field(default=None, description="A hint.")


def _as_url(image: object) -> object:
    return {"url": image} if isinstance(image, str) else image


class ImagePart(Wire):
    """Image in the content of a message."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(_as_url, str | ImageUrl)]


class RefusalPart(Wire):
    """Refusal in an earlier answer; read as its text."""

    type: Literal["refusal"]
    refusal: str


# As `serving.api.dialects` has parsed it.
Part = Annotated[TextPart | ImagePart | RefusalPart, Field(discriminator="type")]


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_list(text: object) -> object:
    return [text] if isinstance(text, str) else text


class FunctionCallBody(Wire):
    """Function that the model called; `arguments` is text as the model wrote it, so it need not be JSON."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str
    parsed_arguments: Any = None  # no effect: OpenAI's client adds it to a streamed call and sends it back


class ToolCallBody(Wire):
    """One call of an assistant's turn."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: FunctionCallBody
    index: Any = None  # no effect: OpenAI's client adds it to a streamed call and sends it back


class ChatMessage(Wire):
    """One turn of the conversation."""

    neutral = fields.NEUTRAL_IN_MESSAGE
    by_value = fields.message_variants

    role: ChatRole
    content: Annotated[list[Part], FailFast(), BeforeValidator(_as_parts, str | list[Part])] = []
    name: Annotated[str, Field(max_length=256)] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # newer name of `reasoning_content`, which has precedence
    refusal: str | None = Field(default=None, description="An earlier refusal; read as text after the content.")
    tool_calls: Annotated[list[ToolCallBody], FailFast()] = []
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None
    annotations: Any = None  # no effect: sources of an earlier answer
    parsed: Any = None  # no effect: OpenAI's client adds it to an answer and sends it back
    type: Literal["message", "text"] | None = None  # no effect
    cache_control: CacheControl = None
    provider_specific_fields: Any = None  # no effect: LiteLLM adds it to an answer and sends it back

    @property
    def has_images(self) -> bool:
        """True if a part is an image."""
        return any(isinstance(part, ImagePart) for part in self.content)


class FunctionBody(Wire):
    """Function that the model may call. Its name and parameters are checked in `serving.api.dialects.chat_tools`."""

    name: str = Field(json_schema_extra=fields.FUNCTION_NAME)
    description: str | None = None
    parameters: Annotated[dict[str, Any] | None, WithJsonSchema(fields.PARAMETERS)] = None
    strict: bool | None = None
    cache_control: CacheControl = None


class ToolBody(Wire):
    """Tool that the model may call."""

    type: Literal["function"]
    function: FunctionBody
    cache_control: CacheControl = None


class FunctionNameBody(Wire):
    """Function that the model must call."""

    name: str = Field(json_schema_extra=fields.FUNCTION_NAME)


class ToolNameBody(Wire):
    """Tool by its name."""

    type: Literal["function"]
    function: FunctionNameBody


class AllowedToolsBody(Wire):
    """Tools of which the model may (`auto`) or must (`required`) call one; the others are left out."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolNameBody], FailFast(), Field(min_length=1)]


class ToolChoiceBody(Wire):
    """A mode, given as a string, the function that the model must call, or the tools that it may call."""

    by_value = fields.tool_choice_variants

    type: Literal["none", "auto", "required", "function", "allowed_tools"]
    function: FunctionNameBody | None = None
    allowed_tools: AllowedToolsBody | None = None


def _as_choice(choice: object) -> object:
    return {"type": choice} if isinstance(choice, str) else choice


class JsonSchema(Wire):
    """Named JSON schema that the answer must satisfy."""

    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None  # no effect: the engine always enforces the schema


class ResponseFormatBody(Wire):
    """Format of the answer."""

    by_value = fields.response_format_variants

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Wire):
    """Options of a streamed answer."""

    include_usage: bool = False
    continuous_usage_stats: bool = False
    include_obfuscation: bool = False  # no effect: nothing is added to the chunks


MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]
StopText = Annotated[str, Field(min_length=1, max_length=1024)]
StopTexts = StopText | Annotated[list[StopText], Field(max_length=16)]
ToolMode = Literal["none", "auto", "required"]


class ChatFields(Wire):
    """Fields of OpenAI's API that are applied, and `moa`."""

    model: str = Field(min_length=1, max_length=256, description="Id of a model or a recipe.")
    messages: Annotated[list[ChatMessage], FailFast()] = Field(
        min_length=1,
        description="The conversation. `role`: `system` or `developer` (equivalent), `user`, `assistant`, `tool`;"
        " `content`: a string, or a list of text parts, which are joined, and of images (`image_url`, of users and"
        " tools); `name`: optional, passed to the model. An"
        " `assistant` message may have `tool_calls` and `reasoning_content` (or `reasoning`), and `content` null; a"
        " `tool` message has the result of the call `tool_call_id` of the assistant's message before it.",
    )
    temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="Sampling temperature; 0: always the most likely token. Models sample with 0.01 at least.",
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, allow_inf_nan=False, description="Probability mass of nucleus sampling."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Maximum length of the answer in tokens. Default: the rest of the context. In a recipe each"
        " agent also gets at most an equal share of the tokens that the operator allows per request.",
    )
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="Newer name of `max_tokens`; if both are given, they must be equal."
    )
    n: int = Field(
        default=1,
        ge=1,
        description="Number of choices; single models only. With `temperature` 0 all are equal.",
    )
    stop: Annotated[list[StopText], FailFast(), Field(max_length=16), BeforeValidator(_as_list, StopTexts)] = Field(
        default=[], description="Up to 16 strings (or one string); the answer ends before the first one that occurs."
    )
    seed: int | None = Field(
        default=None, ge=-fields.INT64_MAX - 1, le=fields.INT64_MAX, description="Seed for reproducible sampling."
    )
    presence_penalty: float = Field(
        default=0.0,
        ge=-2,
        le=2,
        allow_inf_nan=False,
        description="Penalty for tokens that already occur in the answer.",
    )
    frequency_penalty: float = Field(
        default=0.0,
        ge=-2,
        le=2,
        allow_inf_nan=False,
        description="Penalty for tokens by their count in the answer so far.",
    )
    logprobs: bool = Field(default=False, description="Return the log probability of each token; single models only.")
    top_logprobs: int | None = Field(
        default=None, ge=0, le=20, description="Number of alternatives returned per token; requires `logprobs`."
    )
    response_format: ResponseFormatBody | None = Field(
        default=None,
        description="Format of the answer: `text`, `json_object`, or `json_schema` with `name` and `schema`.",
    )
    tools: Annotated[list[ToolBody], FailFast()] = Field(
        default=[],
        description="Functions that the model may call: `type` (`function`) and `function` with `name`, `description`,"
        " `parameters` (JSON schema of an object) and `strict`.",
    )
    tool_choice: Annotated[ToolChoiceBody | None, BeforeValidator(_as_choice, ToolMode | ToolChoiceBody | None)] = (
        Field(
            default=None,
            description='`none`, `auto`, `required`, `{"type": "function", "function": {"name": "..."}}`, or'
            ' `{"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [...]}}`; requires `tools`.'
            " Default: `auto`.",
        )
    )
    parallel_tool_calls: bool = Field(default=True, description="Allow several tool calls in one answer.")
    reasoning_effort: Effort | None = Field(
        default=None,
        description="How much the model thinks before it answers: `none`, `minimal`, `low`, `medium`, `high` or"
        " `xhigh`. Default: the model's own setting.",
    )
    stream: bool = Field(default=False, description="Stream the answer as server-sent events.")
    stream_options: StreamOptions | None = Field(
        default=None,
        description="`include_usage`: add a last chunk with the usage and no choices. `continuous_usage_stats`: every"
        " chunk has the usage so far.",
    )
    user: str | None = Field(
        default=None, max_length=512, description="The caller's name for its user; written to the request log only."
    )
    prompt_cache_key: str | None = Field(
        default=None,
        max_length=512,
        description="Name of the conversation: requests with one name go to the same replica, which has their prompts"
        " cached. Default: the header `X-Session-ID` or `x-claude-code-session-id`, else the beginning of the"
        " conversation.",
    )
    metadata: Annotated[dict[MetadataKey, MetadataValue], BeforeValidator(at_most(16))] = Field(
        default={},
        json_schema_extra=fields.METADATA,
        description="Up to 16 strings of up to 512 characters, with keys of up to 64; written to the request log only.",
    )
    moa: dict[str, Any] = Field(
        default={},
        json_schema_extra=fields.LIVE_MOA,
        description="Extension of this server: `trace`, `recipe`, `events`, `show`, `preview`, `cache`, and settings of"
        " the recipe that a request may override.",
    )

    @property
    def has_images(self) -> bool:
        """True if a message has an image."""
        return any(message.has_images for message in self.messages)


class ChatBody(VllmFields, ChatHints, ChatFields):
    """A chat request. A field that is not given takes the recipe's setting, then the model's default."""

    neutral = fields.NEUTRAL
    reasons = fields.REASONS

"""Body of `POST /v1/responses`: OpenAI's Responses API without a store. Every field is applied or refused by name.

Fields without effect ask for nothing, or are hints: they are described so. `moa` and `priority` are this server's.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FailFast, Field, WithJsonSchema

from serving.api.schemas.chat import MetadataKey, MetadataValue
from serving.api.schemas.chat_fields import FUNCTION_NAME, INT32_MAX, METADATA, MOA, PARAMETERS
from serving.api.schemas.responses_items import NO_EFFECT, InputItem
from serving.api.schemas.unsupported_tools import OmittingBody
from serving.api.schemas.wire import Wire, at_most
from serving.tenant import PRIORITIES

NEUTRAL: dict[str, tuple[object, ...]] = {
    "access_programs": (),
    "background": (False,),
    "context_management": ([],),
    "conversation": (),
    "image": (),
    "moderation": (),
    "previous_response_id": (),
    "prompt": (),
}
REASONS: dict[str, str] = {
    "context_management": "conversations are not compacted; the whole one is in 'input'",
    "previous_response_id": "nothing is stored; send the whole conversation in 'input'",
}
NEUTRAL_IN_TOOL: dict[str, tuple[object, ...]] = {
    "allowed_callers": (["direct"],),
    "async": (False,),
    "defer_loading": (False,),
    "output_schema": (),
}


class FunctionTool(Wire):
    """Function that the model may call."""

    neutral = NEUTRAL_IN_TOOL

    type: Literal["function"]
    name: str = Field(json_schema_extra=FUNCTION_NAME)
    description: str | None = None
    parameters: Annotated[dict[str, Any] | None, WithJsonSchema(PARAMETERS)] = None
    strict: bool | None = None


class NamespaceTool(Wire):
    """Functions under a common name, as Codex CLI sends those of an MCP server.

    The model knows a function as `NAMESPACE__NAME`; a call of it has both names apart.
    """

    type: Literal["namespace"]
    name: str = Field(json_schema_extra=FUNCTION_NAME)
    description: str | None = Field(default=None, description="Precedes the description of each function.")
    tools: Annotated[list[FunctionTool], FailFast(), Field(min_length=1)]


class ToolReference(Wire):
    """A tool by its name; of a function in a namespace `NAMESPACE__NAME`."""

    type: Literal["function"]
    name: str


class AllowedTools(Wire):
    """Tools of which the model may (`auto`) or must (`required`) call one; the others are left out."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolReference], FailFast(), Field(min_length=1)]


class TextFormat(Wire):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(Wire):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(Wire):
    """JSON that satisfies `schema`."""

    type: Literal["json_schema"]
    name: Annotated[str, Field(max_length=64)] = ""
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: Any = Field(default=None, description="No effect: the schema always holds.")
    description: Any = Field(default=None, description=NO_EFFECT)


class TextOptions(Wire):
    """Format of the text."""

    format: Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["low", "medium", "high"] | None = Field(default=None, description="A hint without effect.")


class ReasoningOptions(Wire):
    """Amount of thinking."""

    neutral = {"context": ("auto",)}

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="`max` is `xhigh`."
    )
    summary: Literal["auto", "concise", "detailed"] | None = Field(
        default=None, description="A hint without effect: the reasoning itself is returned, not a summary."
    )
    generate_summary: Literal["auto", "concise", "detailed"] | None = Field(default=None, description=NO_EFFECT)


class StreamingOptions(Wire):
    """Options of a streamed answer."""

    include_obfuscation: bool = Field(default=False, description="A hint without effect.")
    include_usage: bool = Field(default=True, description="No effect: the last event has the usage.")


Include = Literal[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
]


class ResponsesBody(OmittingBody):
    """A request of the Responses API. Nothing is stored: the whole conversation is in `input`."""

    neutral = NEUTRAL
    reasons = REASONS

    model: str = Field(min_length=1, max_length=256, description="Id of a model or a recipe.")
    input: str | Annotated[list[InputItem], Field(min_length=1)] = Field(
        description="The conversation: a user's text, or items of the types `message` (the default), `reasoning`,"
        " `function_call` and `function_call_output`. The answer's own `output` may be sent back as it is."
    )
    instructions: str | None = Field(default=None, description="System message before the conversation.")
    max_output_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Maximum length of the answer in tokens, with its reasoning. Default: the rest of the context.",
    )
    temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="Sampling temperature; 0: always the most likely token.",
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, allow_inf_nan=False, description="Probability mass of nucleus sampling."
    )
    top_logprobs: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="Number of alternatives returned per token; single models only. Log probabilities are returned if"
        " it is above 0, or if `include` asks for them.",
    )
    text: TextOptions | None = Field(
        default=None, description="`format`: `text`, `json_object`, or `json_schema` with `name` and `schema`."
    )
    tools: Annotated[list[Annotated[FunctionTool | NamespaceTool, Field(discriminator="type")]], FailFast()] = Field(
        default=[],
        description="Functions that the model may call, alone or in a `namespace`. Tools of other types are refused, or"
        " left out if the setting `unsupported_tools` is `omit`.",
    )
    tool_choice: (
        Annotated[Literal["none", "auto", "required"] | ToolReference | AllowedTools, Field(union_mode="left_to_right")]
        | None
    ) = Field(default=None, description="Permission or obligation to call tools; requires `tools`. Default: `auto`.")
    parallel_tool_calls: bool = Field(default=True, description="Allow several tool calls in one answer.")
    max_tool_calls: int | None = Field(
        default=None, ge=1, le=INT32_MAX, description="No effect: it limits calls of tools that run on the server."
    )
    reasoning: ReasoningOptions | None = Field(
        default=None, description="`effort`: how much the model thinks. Default: the model's own setting."
    )
    include: Annotated[list[Include], FailFast(), Field(max_length=16)] = Field(
        default=[],
        description="`reasoning.encrypted_content`: reasoning items also carry their text in this field, for clients"
        " that send no other back. `message.output_text.logprobs`: log probabilities. Others ask for nothing here.",
    )
    store: bool = Field(default=False, description="A hint without effect: nothing is stored, and answers say so.")
    stream: bool = Field(default=False, description="Stream the answer as server-sent events.")
    stream_options: StreamingOptions | None = Field(default=None, description="Hints without effect.")
    user: str | None = Field(
        default=None, max_length=512, description="The caller's name for its user; written to the request log only."
    )
    prompt_cache_key: str | None = Field(
        default=None,
        max_length=512,
        description="Name of the conversation: requests with one name go to the same replica.",
    )
    metadata: Annotated[dict[MetadataKey, MetadataValue], BeforeValidator(at_most(16))] = Field(
        default={},
        json_schema_extra=METADATA,
        description="Up to 16 strings; written to the request log, and sent back in the answer.",
    )
    client_metadata: dict[str, Any] | None = Field(default=None, description="A hint without effect.")
    prompt_cache_options: dict[str, Any] | None = Field(default=None, description="A hint without effect.")
    prompt_cache_retention: str | None = Field(default=None, description="A hint without effect.")
    safety_identifier: str | None = Field(default=None, max_length=512, description="A hint without effect.")
    service_tier: str | None = Field(default=None, description="A hint without effect.")
    truncation: Literal["auto", "disabled"] | None = Field(
        default=None, description="A hint without effect: a conversation that is too long is refused, not cut."
    )
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

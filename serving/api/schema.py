"""The body of `POST /v1/chat/completions`: every field is honoured or refused by name, none is ignored.

Field names and ranges follow OpenAI's chat completions reference; `top_k` and what follows it are vLLM's extras,
`moa` is this server's. `null` is OpenAI's "not given" and always accepted.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field
from pydantic_core import PydanticKnownError

INT64_MAX = 2**63 - 1
INT32_MAX = 2**31 - 1

# Fields of OpenAI's API that this server does not honour, with the values that ask for nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "audio": (),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "parallel_tool_calls": (True,),
    "prediction": (),
    "prompt_cache_key": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": ("none",),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none",),
    "tools": ([],),
    "verbosity": ("medium",),
    "web_search_options": (),
}
# What OpenAI's client writes into an assistant's message when an earlier answer is sent back as it came.
NEUTRAL_IN_MESSAGE: dict[str, tuple[object, ...]] = {
    "annotations": ([],),
    "audio": (),
    "function_call": (),
    "refusal": (),
    "tool_calls": ([],),
}
NEUTRAL_IN_STREAM_OPTIONS: dict[str, tuple[object, ...]] = {
    "continuous_usage_stats": (False,),
    "include_obfuscation": (False,),
}


class Wire(BaseModel):
    """Strict: a number in quotes is a wrong type, not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextPart(Wire):
    type: Literal["text"]
    text: str


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_list(text: object) -> object:
    return [text] if isinstance(text, str) else text


def _at_most_16(pairs: object) -> object:
    # Before the pairs are looked at: half a million bad ones would cost a second and a half.
    if isinstance(pairs, dict) and len(pairs) > 16:
        raise PydanticKnownError("too_long", {"field_type": "Dict", "max_length": 16, "actual_length": len(pairs)})
    return pairs


class ChatMessage(Wire):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[TextPart], FailFast(), BeforeValidator(_as_parts)]
    name: Annotated[str, Field(max_length=256)] | None = None


class JsonSchema(Wire):
    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None  # the engine always holds the text to the schema


class ResponseFormatBody(Wire):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Wire):
    include_usage: bool = False


MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]
StopText = Annotated[str, Field(min_length=1, max_length=1024)]


class ChatBody(Wire):
    """What a caller sends. Where nothing is given the recipe's setting holds, then the model's own."""

    model: str = Field(min_length=1, max_length=256, description="A model's or a recipe's id.")
    messages: Annotated[list[ChatMessage], FailFast()] = Field(
        min_length=1,
        description="`role` is system, developer (the same), user or assistant; `content` a string or a list of text"
        " parts, which are joined; `name` is passed on.",
    )
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False, description="0: the likeliest.")
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False, description="Nucleus sampling.")
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="The answer's length at most. Without it the rest of the context, and of a recipe's agents an equal"
        " share of what the operator allows a request.",
    )
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="The newer name of max_tokens; given both, they must agree."
    )
    n: int = Field(default=1, ge=1, description="Choices; single models only.")
    stop: Annotated[list[StopText], FailFast(), Field(max_length=16), BeforeValidator(_as_list)] = Field(
        default=[], description="A text, or up to 16, before which the answer ends."
    )
    seed: int | None = Field(default=None, ge=-INT64_MAX - 1, le=INT64_MAX, description="The same draw each time.")
    presence_penalty: float = Field(default=0.0, ge=-2, le=2, allow_inf_nan=False, description="As OpenAI's.")
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2, allow_inf_nan=False, description="As OpenAI's.")
    logprobs: bool = Field(default=False, description="Each token's log probability; single models only.")
    top_logprobs: int | None = Field(default=None, ge=0, le=20, description="Alternatives a token, with logprobs.")
    response_format: ResponseFormatBody | None = Field(
        default=None, description="`text`, `json_object`, or `json_schema` with `name` and `schema`; for the answer."
    )
    stream: bool = Field(default=False, description="Server-sent events instead of one object.")
    stream_options: StreamOptions | None = Field(
        default=None, description="`include_usage`: a last chunk with the usage and no choices."
    )
    user: str | None = Field(
        default=None, max_length=512, description="The caller's own word for its user; for the request log alone."
    )
    metadata: Annotated[dict[MetadataKey, MetadataValue], BeforeValidator(_at_most_16)] = Field(
        default={}, description="Up to 16 texts of 512 characters under keys of 64; for the request log alone."
    )
    top_k: int | None = Field(default=None, ge=-1, le=INT32_MAX, description="vLLM's; -1 or 0: all tokens.")
    min_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False, description="vLLM's.")
    repetition_penalty: float | None = Field(default=None, gt=0, le=10, allow_inf_nan=False, description="vLLM's.")
    ignore_eos: bool = Field(default=False, description="vLLM's: go on to max_tokens, for measurements.")
    min_tokens: int = Field(default=0, ge=0, description="vLLM's: the answer's length at least.")
    priority: int = Field(
        default=0,
        ge=-INT32_MAX - 1,
        le=INT32_MAX,
        description="vLLM's: the lower, the earlier an engine begins. A recipe's later layers come before its first,"
        " which stands where a single model's request does.",
    )
    moa: dict[str, Any] = Field(
        default={}, description="This server's: `trace`, and for recipes what a request may set of theirs."
    )

"""Body of `POST /v1/completions`. Every field is applied or refused by name; none is ignored.

Names and ranges follow OpenAI's completions reference and vLLM's extensions of it. Fields that chat requests have as
well are declared there. `moa` is an extension of this server.
"""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from serving.api.schemas.chat import ChatBody, ResponseFormatBody, StopText, StreamOptions
from serving.api.schemas.chat_fields import INT32_MAX, MOA
from serving.api.schemas.structured_outputs import StructuredOutputsBody
from serving.api.schemas.vllm_fields import Bias, TokenId, TokenIdKey
from serving.api.schemas.wire import Json, Wire

TOKEN_ID: Json = {"type": "integer", "minimum": 0, "maximum": INT32_MAX}
TOKEN_IDS: Json = {"type": "array", "items": TOKEN_ID, "minItems": 1}
PROMPT: Json = {
    "anyOf": [
        {"type": "string"},
        TOKEN_IDS,
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "array", "items": TOKEN_IDS, "minItems": 1},
    ]
}
# Fields of OpenAI's and vLLM's APIs that this server does not support, with the values that ask for nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "length_penalty": (1, 1.0),
    "logprob_token_ids": (),
    "prompt_embeds": (),
    "prompt_logprobs": (),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "suffix": ("",),
    "truncate_prompt_tokens": (),
    "use_beam_search": (False,),
}


def _as_in_chat(name: str) -> Any:
    """Field of the same name in chat requests."""
    return ChatBody.model_fields[name]


class CompletionsBody(Wire):
    """A request to continue prompts. A field that is not given takes the model's default."""

    neutral = NEUTRAL

    model: str = _as_in_chat("model")
    prompt: Annotated[Any, WithJsonSchema(PROMPT)] = Field(
        description="The text to continue: a string or a list of token ids, or a list of several of one kind. Each has"
        " `n` choices in the answer, in this order.",
    )
    temperature: float | None = _as_in_chat("temperature")
    top_p: float | None = _as_in_chat("top_p")
    max_tokens: int | None = Field(
        default=None,
        ge=0,
        description="Maximum length of each choice in tokens. Default: 16 for a model, as in OpenAI's API; for a recipe"
        " as in chat. 0 needs `echo`: only the prompt is returned.",
    )
    n: int = Field(default=1, ge=1, description="Number of choices per prompt; more than 1 for single models only.")
    best_of: int | None = Field(default=None, ge=1, description="1 or `n`: all choices are returned.")
    stop: list[StopText] = _as_in_chat("stop")
    seed: int | None = _as_in_chat("seed")
    presence_penalty: float = _as_in_chat("presence_penalty")
    frequency_penalty: float = _as_in_chat("frequency_penalty")
    logprobs: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="Return the log probability of each token, with so many of the most likely ones; single models"
        " only.",
    )
    echo: bool = Field(
        default=False,
        description="Each choice begins with the prompt; with `logprobs`, also its log probabilities. Single models"
        " only.",
    )
    response_format: ResponseFormatBody | None = _as_in_chat("response_format")
    stream: bool = _as_in_chat("stream")
    stream_options: StreamOptions | None = _as_in_chat("stream_options")
    user: str | None = _as_in_chat("user")
    add_special_tokens: bool = Field(
        default=True,
        description="vLLM extension: the tokenizer puts its special tokens around a text, such as one for its"
        " beginning.",
    )
    top_k: int | None = _as_in_chat("top_k")
    min_p: float | None = _as_in_chat("min_p")
    repetition_penalty: float | None = _as_in_chat("repetition_penalty")
    ignore_eos: bool = _as_in_chat("ignore_eos")
    min_tokens: int = _as_in_chat("min_tokens")
    priority: int = _as_in_chat("priority")
    logit_bias: dict[TokenIdKey, Bias] = _as_in_chat("logit_bias")
    allowed_token_ids: list[TokenId] = _as_in_chat("allowed_token_ids")
    stop_token_ids: list[TokenId] = _as_in_chat("stop_token_ids")
    bad_words: list[str] = _as_in_chat("bad_words")
    skip_special_tokens: bool = _as_in_chat("skip_special_tokens")
    spaces_between_special_tokens: bool = _as_in_chat("spaces_between_special_tokens")
    include_stop_str_in_output: bool = _as_in_chat("include_stop_str_in_output")
    structured_outputs: StructuredOutputsBody | None = _as_in_chat("structured_outputs")
    cache_salt: str | None = _as_in_chat("cache_salt")
    moa: dict[str, Any] = Field(
        default={},
        json_schema_extra=MOA,
        description="Extension of this server: `trace` (for a single prompt), `recipe`, `cache`, and settings of the"
        " recipe that a request may override.",
    )

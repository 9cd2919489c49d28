"""Fields of vLLM's chat completions API that OpenAI's does not have, and `logit_bias`, whose keys are token ids.

Names and meanings are vLLM's. Numbers of token ids are limited as vLLM's engine limits them.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, FailFast, Field

from serving.api.schemas import chat_fields as fields
from serving.api.schemas.structured_outputs import StructuredOutputsBody
from serving.api.schemas.wire import Wire, at_most, whole
from serving.tenant import PRIORITIES

MAX_BIASED_TOKENS = 1024
DIGITS = re.compile(fields.TOKEN_ID_KEY)


def _token_id(key: str) -> str:
    if DIGITS.match(key) is None:
        raise ValueError('the key is the id of a token in digits, such as "42"')
    return key


TokenId = Annotated[int, Field(ge=0, le=fields.INT32_MAX), BeforeValidator(whole)]
TokenIdKey = Annotated[str, AfterValidator(_token_id)]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class VllmFields(Wire):
    """Extensions of vLLM."""

    logit_bias: Annotated[dict[TokenIdKey, Bias], BeforeValidator(at_most(MAX_BIASED_TOKENS))] = Field(
        default={},
        json_schema_extra={"maxProperties": MAX_BIASED_TOKENS, **fields.TOKEN_BIASES},
        description="Bias of tokens: an object of token ids and numbers from -100 (never) to 100 (always). Ids are"
        " those of the model that writes the answer.",
    )
    top_k: int | None = Field(
        default=None,
        ge=-1,
        le=fields.INT32_MAX,
        description="vLLM extension: sample from the k most likely tokens; -1 or 0: all.",
    )
    min_p: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="vLLM extension: minimum probability of a token, relative to the most likely one.",
    )
    repetition_penalty: float | None = Field(
        default=None,
        gt=0,
        le=10,
        allow_inf_nan=False,
        description="vLLM extension: penalty for tokens in the prompt or the answer; above 1 discourages them.",
    )
    ignore_eos: bool = Field(default=False, description="vLLM extension: do not stop at the end token; for benchmarks.")
    min_tokens: int = Field(default=0, ge=0, description="vLLM extension: minimum length of the answer in tokens.")
    thinking_token_budget: int | None = Field(
        default=None,
        ge=0,
        le=fields.INT32_MAX,
        description="vLLM extension: maximum number of tokens of the reasoning.",
    )
    include_reasoning: bool = Field(
        default=True, description="vLLM extension: return the reasoning, as `reasoning_content` and `reasoning`."
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default={},
        json_schema_extra=fields.TEMPLATE_ARGS,
        description="vLLM extension: arguments of the model's chat template, of the size of a schema at most.",
    )
    priority: int = Field(
        default=0,
        ge=0,
        le=PRIORITIES - 1,
        description="vLLM extension: engines run requests with lower values earlier, within the class of the caller's"
        " key. Of one value, later layers of recipes come before first layers and requests to single models.",
    )
    structured_outputs: StructuredOutputsBody | None = Field(
        default=None,
        description="vLLM extension: a rule for the text of the answer: one of `json` (a JSON schema), `json_object`,"
        " `regex`, `choice` (a list of texts), `grammar` (EBNF) and `structural_tag` (JSON as text). Not together with"
        " `response_format` or a required tool call.",
    )
    stop_token_ids: Annotated[list[TokenId], FailFast(), Field(max_length=128)] = Field(
        default=[], description="vLLM extension: up to 128 ids of tokens that end the answer."
    )
    allowed_token_ids: Annotated[list[TokenId], FailFast(), Field(min_length=1, max_length=1024)] = Field(
        default=[], description="vLLM extension: up to 1024 ids of the only tokens that may be generated."
    )
    bad_words: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]], FailFast(), Field(max_length=256)
    ] = Field(default=[], description="vLLM extension: up to 256 texts that are not generated.")
    skip_special_tokens: bool = Field(
        default=True, description="vLLM extension: leave special tokens out of the text of the answer."
    )
    spaces_between_special_tokens: bool = Field(
        default=True, description="vLLM extension: write spaces between special tokens, where they are not left out."
    )
    include_stop_str_in_output: bool = Field(
        default=False, description="vLLM extension: end the answer with the `stop` string that ended it."
    )
    continue_final_message: bool = Field(
        default=False,
        description="vLLM extension: the answer continues the last message, which is an assistant's; it has the new"
        " text alone. Not together with `tools`.",
    )
    add_generation_prompt: bool | None = Field(
        default=None,
        description="vLLM extension: begin an answer at the end of the prompt. `false`: the prompt ends behind the last"
        " message. Default: `true`, or `false` with `continue_final_message`.",
    )
    cache_salt: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="vLLM extension: share cached prompts only with requests of the same salt; for all agents.",
    )

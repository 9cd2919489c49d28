"""Bodies and answers of `POST /tokenize` and `POST /detokenize`, which are vLLM's."""

from typing import Annotated, Any

from pydantic import FailFast, Field, WithJsonSchema

from serving.api.schemas.answers import Read
from serving.api.schemas.chat import ChatMessage, ToolBody
from serving.api.schemas.chat_fields import NULL, TEMPLATE_ARGS
from serving.api.schemas.completions import TOKEN_ID
from serving.api.schemas.wire import Json, Wire, variant

# Fields that only conversations have, with the values that ask for nothing.
OF_MESSAGES: dict[str, tuple[object, ...]] = {
    "add_generation_prompt": (True,),
    "chat_template_kwargs": ({},),
    "tools": ([],),
}


def tokenize_variants(schema: Json) -> None:
    """Describe a prompt and a conversation."""
    fields = schema["properties"]
    neutral = {name: {"enum": [None, *values]} for name, values in OF_MESSAGES.items()}
    messages = next(option for option in fields["messages"]["anyOf"] if option != NULL)
    of_prompt = variant(schema, {"prompt": {"type": "string"}, "messages": NULL, **neutral}, ("model", "prompt"))
    of_messages = variant(
        schema,
        {"messages": messages, "prompt": NULL, "add_special_tokens": {"enum": [None, False]}},
        ("model", "messages"),
    )
    about: Json = {key: schema[key] for key in ("title", "description") if key in schema}
    schema.clear()
    schema.update({**about, "oneOf": [of_prompt, of_messages]})


class TokenizeBody(Wire):
    """A prompt or a conversation whose tokens are asked for."""

    neutral = {
        "chat_template": (),
        "continue_final_message": (False,),
        "media_io_kwargs": ({},),
        "mm_processor_kwargs": ({},),
    }
    by_value = tokenize_variants

    model: str = Field(min_length=1, max_length=256, description="Id of a model.")
    prompt: str | None = Field(default=None, description="A text, or give `messages`.")
    messages: Annotated[list[ChatMessage] | None, FailFast()] = Field(
        default=None, min_length=1, description="A conversation, as in chat completions, or give `prompt`."
    )
    add_special_tokens: bool | None = Field(
        default=None,
        description="The tokenizer puts its special tokens around a `prompt` (default: true). Those of a conversation"
        " are its template's.",
    )
    add_generation_prompt: bool = Field(
        default=True,
        description="The tokens of a conversation end where the answer begins; false: with its last message.",
    )
    tools: Annotated[list[ToolBody], FailFast()] = Field(
        default=[], description="Tools in the prompt of a conversation, as in chat completions."
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default={}, json_schema_extra=TEMPLATE_ARGS, description="Arguments of the model's chat template."
    )
    return_token_strs: bool = Field(default=False, description="Return the text of each token, too.")


class DetokenizeBody(Wire):
    """Token ids whose text is asked for."""

    model: str = Field(min_length=1, max_length=256, description="Id of a model.")
    tokens: Annotated[Any, WithJsonSchema({"type": "array", "items": TOKEN_ID})] = Field(
        description="Token ids of the model's vocabulary."
    )


class TokenizeRead(Read):
    """Tokens of a prompt or a conversation."""

    count: int = Field(description="Number of tokens.")
    max_model_len: int = Field(description="Length of the model's context in tokens.")
    tokens: list[int]
    token_strs: list[str] | None = Field(description="As the vocabulary writes them; null if not asked for.")


class DetokenizeRead(Read):
    """Text of tokens."""

    prompt: str

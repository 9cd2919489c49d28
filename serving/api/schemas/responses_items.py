"""Items of a Responses request's `input`: messages, reasoning, function calls and their results."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, FailFast, Field, Tag

from serving.api.schemas.wire import Json, Wire, variant

NO_EFFECT = "No effect."
Name = Annotated[str, Field(min_length=1, max_length=256)]
NEUTRAL_IN_CALL: dict[str, tuple[object, ...]] = {
    "async": (False,),
    "caller": ({"type": "direct"},),
}


class Item(Wire):
    """Fields of all items that have no effect: their ids and states come from an earlier answer."""

    id: Any = Field(default=None, description=NO_EFFECT)
    status: Any = Field(default=None, description=NO_EFFECT)
    internal_chat_message_metadata_passthrough: Any = Field(default=None, description=NO_EFFECT)


class TextContent(Wire):
    """Text of a message or of a function's result."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: Any = Field(default=None, description=NO_EFFECT)
    logprobs: Any = Field(default=None, description=NO_EFFECT)
    parsed: Any = Field(default=None, description="No effect: OpenAI's client adds it to an answer.")


class ImageContent(Wire):
    """Image in a user's message or in a function's result."""

    neutral = {"file_id": ()}

    type: Literal["input_image"]
    image_url: str = Field(
        description="`data:image/png;base64,...`, or an http or https URL of a host that the operator allows."
    )
    detail: Literal["auto", "low", "high", "original"] | None = Field(default=None, description="A hint.")


class RefusalContent(Wire):
    """Refusal in an earlier answer; read as its text."""

    type: Literal["refusal"]
    refusal: str


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


MessagePart = Annotated[TextContent | RefusalContent | ImageContent, Field(discriminator="type")]
ResultPart = Annotated[TextContent | ImageContent, Field(discriminator="type")]
ResultParts = Annotated[list[ResultPart], FailFast(), BeforeValidator(_as_parts, str | list[ResultPart])]


class ReasoningContent(Wire):
    """Text of a reasoning item."""

    type: Literal["reasoning_text", "text"]
    text: str


def _message_variants(schema: Json) -> None:
    """Describe a message by its role: only users show images."""
    text, parts = schema["properties"]["content"]["anyOf"]
    kinds = parts["items"]["oneOf"]
    without = [kind for kind in kinds if "ImageContent" not in kind["$ref"]]
    required = schema["required"]

    def of(roles: list[str], kinds: list[Json]) -> Json:
        content = {"anyOf": [text, {"type": "array", "items": {"oneOf": kinds}}]}
        return variant(schema, {"role": {"enum": roles}, "content": content}, required)

    described = {"oneOf": [of(["user"], kinds), of(["assistant", "system", "developer"], without)]}
    about = {"title": schema["title"], "description": schema["description"]}
    schema.clear()
    schema.update({**about, **described})


class MessageItem(Item):
    """Message of the conversation."""

    by_value = _message_variants

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[list[MessagePart], FailFast(), BeforeValidator(_as_parts, str | list[MessagePart])]
    phase: Any = Field(default=None, description=NO_EFFECT)


class ReasoningItem(Item):
    """Reasoning of an earlier answer. Its text is taken from `content`, else from `encrypted_content`.

    An `encrypted_content` of another server cannot be read, and has no effect.
    """

    type: Literal["reasoning"]
    summary: Any = Field(default=None, description=NO_EFFECT)
    content: Annotated[list[ReasoningContent], FailFast()] = []
    encrypted_content: str | None = None


class FunctionCallItem(Item):
    """Call of a function in an earlier answer; `arguments` is text as the model wrote it."""

    neutral = NEUTRAL_IN_CALL

    type: Literal["function_call"]
    call_id: Name
    name: Name
    namespace: Name | None = None
    arguments: str
    parsed_arguments: Any = Field(default=None, description="No effect: OpenAI's client adds it to an answer.")


class FunctionCallOutputItem(Item):
    """Result of a function call."""

    neutral = {**NEUTRAL_IN_CALL, "namespace": ()}

    type: Literal["function_call_output"]
    call_id: Name
    output: ResultParts
    name: Any = Field(default=None, description=NO_EFFECT)


def _type_of(item: Any) -> str:
    return str(item.get("type", "message") if isinstance(item, dict) else item.type)


InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[FunctionCallOutputItem, Tag("function_call_output")],
    Discriminator(_type_of),
]

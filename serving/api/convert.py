"""The wire's `ChatBody` to the domain's `GenerateRequest`: checks that need more than one field."""

from serving.api.schema import ChatBody, ChatMessage
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest, UnsupportedField
from serving.types import GenerateRequest, Message, ModelCard, ResponseFormat, Sampling


def to_request(body: ChatBody, card: ModelCard, settings: ApiSettings, request_id: str) -> GenerateRequest:
    """What `body` asks of the engine behind `card`.

    Raises:
        InvalidRequest: fields that do not go together, or more than `settings` allows.
        UnsupportedField: recipe options for a single model.
    """
    _check_options(body, card)
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("Remove 'stream_options' or set 'stream' to true.", "stream_options")
    return GenerateRequest(
        request_id=request_id,
        messages=tuple(_message(message) for message in body.messages),
        sampling=_sampling(body, settings),
        priority=body.priority,
        deadline_s=settings.deadline_s,
        grain_tokens=1 if body.stream else None,
        user=body.user,
        metadata=body.metadata,
        options=body.moa,
    )


def _check_options(body: ChatBody, card: ModelCard) -> None:
    if card.kind == "model" and (options := sorted(set(body.moa) - {"trace"})):
        raise UnsupportedField(f"moa.{options[0][:40]}", f"'{card.id}' is a single model, not a recipe")
    if not isinstance(body.moa.get("trace", False), bool):
        raise InvalidRequest("Set 'moa.trace' to true or false.", "moa.trace")


def _message(message: ChatMessage) -> Message:
    # "developer" is OpenAI's newer word for the same place in the conversation.
    role = "system" if message.role == "developer" else message.role
    return Message(role, "".join(part.text for part in message.content), message.name)


def _sampling(body: ChatBody, settings: ApiSettings) -> Sampling:
    max_tokens = _max_tokens(body, settings)
    if body.n > settings.max_choices:
        raise InvalidRequest(f"Set 'n' to at most {settings.max_choices}, not {body.n}.", "n")
    if body.min_tokens > (settings.max_tokens if max_tokens is None else max_tokens):
        raise InvalidRequest("Set 'min_tokens' to no more than 'max_tokens'.", "min_tokens")
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("Set 'logprobs' to true to use 'top_logprobs'.", "top_logprobs")
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=max_tokens,
        stop=tuple(body.stop),
        seed=body.seed,
        n=body.n,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        response_format=_response_format(body),
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        ignore_eos=body.ignore_eos,
        min_tokens=body.min_tokens,
    )


def _max_tokens(body: ChatBody, settings: ApiSettings) -> int | None:
    """`max_completion_tokens` is the newer name of `max_tokens`; given both, they must agree."""
    name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    wanted = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    if body.max_tokens is not None and body.max_tokens != wanted:
        raise InvalidRequest("Give 'max_tokens' and 'max_completion_tokens' the same value, or one of them.", name)
    if wanted is not None and wanted > settings.max_tokens:
        raise InvalidRequest(f"Set '{name}' to at most {settings.max_tokens}, not {wanted}.", name)
    return wanted


def _response_format(body: ChatBody) -> ResponseFormat | None:
    wanted = body.response_format
    if wanted is None:
        return None
    if wanted.type != "json_schema" and wanted.json_schema is not None:
        raise InvalidRequest(
            "Remove 'response_format.json_schema' or set 'response_format.type' to 'json_schema'.",
            "response_format.json_schema",
        )
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ResponseFormat("json_object")
    if wanted.json_schema is None:
        raise InvalidRequest(
            "Set 'response_format.json_schema': the type 'json_schema' needs it.", "response_format.json_schema"
        )
    return ResponseFormat("json_schema", wanted.json_schema.name, wanted.json_schema.json_schema)

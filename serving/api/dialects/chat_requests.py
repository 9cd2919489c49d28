"""Parsing of chat requests: JSON to `ChatBody`, and `ChatBody` to the engine's `GenerateRequest`.

Tools and thinking are in `serving.api.dialects.chat_tools`, and vLLM's fields in `chat_decoding`, which a request
without them does not reach.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from serving.api.dialects.cache_option import cache_option
from serving.api.dialects.chat_decoding import FIELDS, decoding, prompt_end, structured_outputs
from serving.api.dialects.chat_errors import invalid, unsupported
from serving.api.dialects.chat_tools import (
    allowed,
    check_tool_turns,
    template_args,
    thinking,
    tool_call,
    tool_choice,
    tools,
)
from serving.api.dialects.image_parts import joined, part_of
from serving.api.dialects.live import event_detail, shows_reasoning
from serving.api.dialects.preview import without_preview
from serving.api.dialects.unions import parsed_parts, validated
from serving.api.image_reader import NO_IMAGES, Images
from serving.api.schemas.chat import (
    ROLES,
    ChatBody,
    ChatMessage,
    ImagePart,
    RefusalPart,
    ResponseFormatBody,
    StreamOptions,
    TextPart,
)
from serving.api.schemas.chat_fields import IMAGE_ROLES, REQUIRED_OF_ROLE, ROLE_OF_FIELD
from serving.api.schemas.completions import CompletionsBody
from serving.api.schemas.structured_outputs import StructuredOutputsBody
from serving.api.schemas.wire import Wire, check_length, json_object, known
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Image, Message, Thinking, ToolChoice
from serving.decoding import PLAIN_DECODING
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.check import checked
from serving.types import GenerateRequest, MoaOptions, ResponseFormat, Sampling
from serving.validation import first_issue, shown

TEXT_PARTS: dict[str, type[Wire]] = {"text": TextPart}
ANSWER_PARTS: dict[str, type[Wire]] = {**TEXT_PARTS, "refusal": RefusalPart}
PARTS: dict[str, type[Wire]] = {**TEXT_PARTS, "image_url": ImagePart}
NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})
OPTIONS = frozenset(
    {"trace", "recipe", "events", "show", "cache", "preview"}
)  # of `moa`; its other fields override the recipe's settings
SESSION_HEADERS = (b"x-session-id", b"x-claude-code-session-id")
# A shorter beginning is computed again in milliseconds. Without a session, its request goes where there is most room.
LONG_CHARACTERS = 2_000
HASHED_CHARACTERS = 16_000  # of each message: what begins with as much in common is worth the same replica


def to_request(
    body: ChatBody,
    card: ModelCard,
    info: EngineInfo,
    settings: ApiSettings,
    request_id: str,
    headers: Mapping[bytes, bytes] = NO_HEADERS,
    images: Images = NO_IMAGES,
) -> GenerateRequest:
    """Request to the engine of `card`, which has the properties `info`. `images`: those of `chat_images`.

    Raises:
        InvalidRequest: fields contradict each other, or a value exceeds the limits in `settings`.
        UnsupportedField: tools or thinking that the engine does not support, recipe options in a request to a single
            model, or a keyword of a schema that no grammar holds.
    """
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("Remove 'stream_options' or set 'stream' to true.", "stream_options")
    if any(message.tool_calls or message.role == "tool" for message in body.messages):
        check_tool_turns(body, info)
    moa = moa_options(body.moa, card)
    if moa.events is not None and not body.stream:
        raise InvalidRequest("Set 'stream' to true to use 'moa.events', or remove 'moa.events'.", "moa.events")
    if moa.show_reasoning and not body.include_reasoning:
        raise InvalidRequest("Set 'include_reasoning' to true to use 'moa.show'.", "moa.show")
    if moa.preview and not body.include_reasoning:
        raise InvalidRequest("Set 'include_reasoning' to true to use 'moa.preview'.", "moa.preview")
    thinks = body.reasoning_effort is not None or body.thinking_token_budget is not None
    messages = tuple(
        _message(message, f"messages[{index}].content", images) for index, message in enumerate(body.messages)
    )
    choice = ToolChoice() if body.tool_choice is None else tool_choice(body.tool_choice, body.tools)
    sampling = _sampling(body, settings)
    ends = body.continue_final_message or body.add_generation_prompt is not None
    if body.structured_outputs is not None:
        rule = structured_outputs(body.structured_outputs, sampling.response_format, choice)
        sampling = replace(sampling, response_format=rule)
    request = GenerateRequest(
        request_id=request_id,
        messages=messages,
        sampling=sampling,
        tools=allowed(tools(body, info), body.tool_choice) if body.tools else (),
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls or not body.tools,
        thinking=thinking(body, info) if thinks else Thinking(),
        template_args=template_args(body, settings.schemas) if body.chat_template_kwargs else {},
        priority=body.priority,
        deadline_s=settings.deadline_s,
        stream_interval=1 if body.stream else None,
        user=body.user,
        session=session_key(body.prompt_cache_key, headers, messages, tools=bool(body.tools)),
        metadata=body.metadata,
        moa=moa,
        running_usage=settings.usage if body.stream_options and body.stream_options.continuous_usage_stats else None,
        prompt_end=prompt_end(body, messages, tools=bool(body.tools)) if ends else "answer",
        cache_salt=body.cache_salt,
    )
    return checked(request, settings.schemas) if request.has_rules else request


def moa_options(raw: Mapping[str, Any], card: ModelCard, *, live: bool = True, reasoning: bool = True) -> MoaOptions:
    """Options in the `moa` object of a request to `card`.

    `live`: the dialect has events and proposals as reasoning. `reasoning`: its answers have reasoning.

    Raises:
        UnsupportedField: a recipe option in a request to a single model, or what the dialect does not have.
        InvalidRequest: a value has the wrong type. Overrides are checked later, by the recipe.
    """
    if not raw:
        return MoaOptions()
    raw = {name: value for name, value in raw.items() if value is not None}
    if card.kind == "model" and (recipe_options := sorted(set(raw) - {"trace", "cache"})):
        raise UnsupportedField(f"moa.{recipe_options[0][:40]}", f"'{card.id}' is a single model, not a recipe")
    trace, recipe = raw.get("trace", False), raw.get("recipe")
    if not isinstance(trace, bool):
        raise InvalidRequest("Set 'moa.trace' to true or false.", "moa.trace")
    if "recipe" in raw and not isinstance(recipe, str):
        raise InvalidRequest(f"Set 'moa.recipe' to the id of a recipe, not {shown(recipe)}.", "moa.recipe")
    overrides = {name: value for name, value in raw.items() if name not in OPTIONS}
    events, shows = event_detail(raw.get("events")), shows_reasoning(raw.get("show"))
    if not live and (events is not None or shows):
        name = "show" if events is None else "events"
        raise UnsupportedField(f"moa.{name}", "only /v1/chat/completions has it")
    preview = raw.get("preview", False)
    if not isinstance(preview, bool):
        raise InvalidRequest("Set 'moa.preview' to true or false.", "moa.preview")
    if preview and not reasoning:
        raise UnsupportedField("moa.preview", "answers of this endpoint have no reasoning")
    if preview and shows:
        raise InvalidRequest("Remove 'moa.preview' or 'moa.show': they show the same proposal.", "moa.preview")
    cache = cache_option(raw.get("cache"))
    return MoaOptions(trace, recipe, overrides, events=events, show_reasoning=shows, cache=cache, preview=preview)


def _message(message: ChatMessage, path: str, images: Images) -> Message:
    # "developer" is OpenAI's newer name of the same role.
    role = "system" if message.role == "developer" else message.role
    placed: tuple[Image, ...] = ()
    if message.has_images:
        parts = [part_of(part, f"{path}[{place}]", images) for place, part in enumerate(message.content)]
        text, placed = joined(parts, "")
    else:
        texts = (part for part in message.content if not isinstance(part, ImagePart))
        text = "".join(part.refusal if isinstance(part, RefusalPart) else part.text for part in texts)
    text += message.refusal or ""
    reasoning = message.reasoning_content or message.reasoning
    return Message(
        role,
        text,
        message.name,
        without_preview(reasoning) if reasoning else None,
        tuple(map(tool_call, message.tool_calls)) if message.tool_calls else (),
        message.tool_call_id,
        placed,
    )


def _sampling(body: ChatBody, settings: ApiSettings) -> Sampling:
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("Set 'logprobs' to true to use 'top_logprobs'.", "top_logprobs")
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    return sampling_of(body, settings, _max_tokens(body, settings), logprobs)


def sampling_of(
    body: ChatBody | CompletionsBody, settings: ApiSettings, max_tokens: int | None, logprobs: int | None
) -> Sampling:
    """Sampling that a body asks for. Raises `InvalidRequest` if a value exceeds the limits in `settings`."""
    if body.n > settings.max_choices:
        raise InvalidRequest(f"Set 'n' to at most {settings.max_choices}, not {body.n}.", "n")
    if body.min_tokens > (settings.max_tokens if max_tokens is None else max_tokens):
        raise InvalidRequest("Set 'min_tokens' to at most 'max_tokens'.", "min_tokens")
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=max_tokens,
        stop=tuple(body.stop),
        seed=body.seed,
        n=body.n,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logprobs=logprobs,
        response_format=response_format(body.response_format),
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        ignore_eos=body.ignore_eos,
        min_tokens=body.min_tokens,
        decoding=PLAIN_DECODING if body.model_fields_set.isdisjoint(FIELDS) else decoding(body),
    )


def _max_tokens(body: ChatBody, settings: ApiSettings) -> int | None:
    """Token limit of the answer. `max_completion_tokens` is the newer name of `max_tokens`; both must agree."""
    name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    wanted = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    if body.max_tokens is not None and body.max_tokens != wanted:
        raise InvalidRequest(
            "Set 'max_tokens' and 'max_completion_tokens' to the same value, or remove one of them.", name
        )
    if wanted is not None and wanted > settings.max_tokens:
        raise InvalidRequest(f"Set '{name}' to at most {settings.max_tokens}, not {wanted}.", name)
    return wanted


def response_format(wanted: ResponseFormatBody | None) -> ResponseFormat | None:
    """Constraint on the answer's text. Raises `InvalidRequest` if its fields do not fit together."""
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
            "Set 'response_format.json_schema': the type 'json_schema' requires it.", "response_format.json_schema"
        )
    return ResponseFormat(
        "json_schema",
        wanted.json_schema.name,
        wanted.json_schema.json_schema,
        path="response_format.json_schema.schema",
    )


def parse_chat(body: bytes, settings: ApiSettings) -> ChatBody:
    """Parse and validate the JSON of a request.

    Raises:
        InvalidRequest: the body is not JSON, a value has the wrong type or is out of range, or a list is longer than
            `settings` allow.
        UnsupportedField: a field is unknown, or part of OpenAI's API but not supported here.
    """
    return chat_body(json_object(body, settings), settings)


def chat_body(raw: Mapping[str, Any], settings: ApiSettings) -> ChatBody:
    """Validate the fields of a request. Raises as `parse_chat`."""
    given = known(raw, ChatBody)
    check_length(given, {"messages": settings.max_messages, "tools": settings.max_tools})
    if isinstance(messages := given.get("messages"), list):
        given["messages"] = [_known_in_message(message, f"messages[{i}].") for i, message in enumerate(messages)]
    if isinstance(options := given.get("stream_options"), dict):
        given["stream_options"] = known(options, StreamOptions, "stream_options.")
    if isinstance(rule := given.get("structured_outputs"), dict):
        given["structured_outputs"] = validated(rule, StructuredOutputsBody, "structured_outputs")
    try:
        return ChatBody.model_validate(given)
    except ValidationError as error:
        raise invalid(first_issue(error)) from None


def _known_in_message(raw: object, where: str) -> object:
    """A message with its known fields. Its role comes first: the fields of other roles are unknown for that reason."""
    if not isinstance(raw, dict):
        return raw
    role = raw.get("role")
    if isinstance(role, str) and role not in ROLES:
        raise UnsupportedField(f"{where}role", unsupported("messages with the role", role, ROLES))
    given = known(raw, ChatMessage, where)
    if not isinstance(role, str):
        return given
    if isinstance(given.get("content"), list):
        parts, things = PARTS, "content parts"
        if role not in IMAGE_ROLES:
            parts = ANSWER_PARTS if role == "assistant" else TEXT_PARTS
            things = f"content parts of the role '{role}' and"
        given["content"] = parsed_parts(given["content"], parts, f"{where}content", things)
    for name, owner in ROLE_OF_FIELD.items():
        if name in given and role != owner:
            if given[name] not in ("", []):
                raise UnsupportedField(where + name, f"only messages with the role '{owner}' have it")
            del given[name]
    for name in REQUIRED_OF_ROLE.get(role, ("content",)):
        if name not in given:
            raise InvalidRequest(f"Set '{where}{name}': it is required.", where + name)
    return given


def session_key(
    cache_key: str | None, headers: Mapping[bytes, bytes], messages: Sequence[Message], *, tools: bool
) -> str | None:
    """Key of the request's conversation; None if no later request is likely to share its prompt.

    It is a digest, which says nothing about the name or text that it was made of and may be logged and sent on.

    Args:
        cache_key: the request's `prompt_cache_key`, which comes first.
        headers: the request's headers; then the first of `SESSION_HEADERS` that is there.
        messages: the conversation, which is known by its beginning if it has no name: the messages up to the first
            user turn. A short one without tools, images or an earlier answer has no key.
        tools: the request has tools, so that it is likely to be called again.
    """
    if cache_key:
        return _digest(b"key", cache_key.encode(errors="surrogatepass"))
    if name := next((value for header in SESSION_HEADERS if (value := headers.get(header))), None):
        return _digest(b"header", name)
    first = next((place for place, message in enumerate(messages, start=1) if message.role == "user"), len(messages))
    beginning = [
        (message.role, message.content[:HASHED_CHARACTERS], *(image.digest for image in message.images))
        for message in messages[:first]
    ]
    # An image is hundreds of tokens.
    likely = tools or any(message.role == "assistant" or message.images for message in messages)
    if not likely and sum(len(content) for _, content, *_ in beginning) < LONG_CHARACTERS:
        return None
    return _digest(b"conversation", repr(beginning).encode(errors="surrogatepass"))


def _digest(kind: bytes, name: bytes) -> str:
    return hashlib.blake2b(name, digest_size=16, person=kind).hexdigest()

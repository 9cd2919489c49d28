"""Parsing of requests for tokens: JSON to the body, and the body to the `GenerateRequest` whose prompt is meant."""

from dataclasses import dataclass, replace

from serving.api.dialects.chat_requests import chat_body, to_request
from serving.api.dialects.prompts import token_ids
from serving.api.dialects.unions import validated
from serving.api.image_reader import NO_IMAGES, Images
from serving.api.schemas.chat import ChatBody
from serving.api.schemas.tokens import OF_MESSAGES, DetokenizeBody, TokenizeBody
from serving.api.schemas.wire import json_object, known
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.types import GenerateRequest, RawPrompt
from serving.validation import kind_of

OF_CHAT = ("model", "messages", "tools", "chat_template_kwargs")


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """A request for tokens: its fields, and those of a conversation as a chat request."""

    body: TokenizeBody
    chat: ChatBody | None  # None: it has a prompt


def parse_tokenize(body: bytes, settings: ApiSettings) -> TokenizeRequest:
    """Parse and validate the JSON of a request for tokens.

    Raises:
        InvalidRequest: the body is not JSON, a value has the wrong type or is out of range, or there is not either a
            prompt or a conversation.
        UnsupportedField: a field is unknown, belongs to conversations only, or is not supported.
    """
    given = known(json_object(body, settings), TokenizeBody)
    if "messages" in given and "prompt" in given:
        raise InvalidRequest("Remove 'prompt' or 'messages': a request has one of them.", "prompt")
    if "messages" in given:
        if given.get("add_special_tokens") is True:
            raise UnsupportedField("add_special_tokens", "the chat template writes those of a conversation")
        chat = chat_body({name: given[name] for name in OF_CHAT if name in given}, settings)
        own = {name: value for name, value in given.items() if name == "model" or name not in OF_CHAT}
        return TokenizeRequest(validated(own, TokenizeBody), chat)
    for name, neutral in OF_MESSAGES.items():
        if name in given and not any(type(given[name]) is type(one) and given[name] == one for one in neutral):
            raise UnsupportedField(name, "only a request with 'messages' has it")
    checked = validated(given, TokenizeBody)
    if checked.prompt is None:
        raise InvalidRequest("Set 'prompt' or 'messages': one of them is required.", "prompt")
    return TokenizeRequest(checked, None)


def tokenize_request(
    asked: TokenizeRequest,
    card: ModelCard,
    info: EngineInfo,
    settings: ApiSettings,
    request_id: str,
    images: Images = NO_IMAGES,
) -> GenerateRequest:
    """Request to the engine of `card`, with the properties `info`, whose prompt is to be tokenized.

    `images`: those of `chat_images` of the conversation.

    Raises:
        InvalidRequest: `card` is that of a recipe, or fields of the conversation contradict each other.
        UnsupportedField: the engine does not support the conversation's tools.
    """
    check_model(card)
    if asked.chat is not None:
        request = to_request(asked.chat, card, info, settings, request_id, images=images)
        return replace(request, prompt_end="answer" if asked.body.add_generation_prompt else "message")
    prompt = RawPrompt(asked.body.prompt or "", asked.body.add_special_tokens is not False)
    return GenerateRequest(request_id, (), deadline_s=settings.deadline_s, prompt=prompt)


def parse_detokenize(body: bytes, settings: ApiSettings) -> DetokenizeBody:
    """Parse and validate the JSON of a request for a text. Raises as `parse_tokenize`."""
    given = known(json_object(body, settings), DetokenizeBody)
    tokens = given.get("tokens")
    if tokens is not None and not isinstance(tokens, list):
        raise InvalidRequest(f"Set 'tokens' to a list of token ids, not {kind_of(tokens)}.", "tokens")
    if tokens:
        given["tokens"] = token_ids(tokens, "tokens")
    return validated(given, DetokenizeBody)


def check_model(card: ModelCard) -> None:
    """Check that `card` is that of a model, as recipes have no tokenizer. Raises `InvalidRequest`."""
    if card.kind == "recipe":
        raise InvalidRequest(f"Set 'model' to a model: '{card.id}' is a recipe, which has no tokenizer.", "model")

"""Parsing of requests for embeddings: JSON to `EmbeddingsBody`, and the body to the engine's `EmbedRequest`."""

from serving.api.dialects.pooling_checks import check_count, checked_text, checked_truncation
from serving.api.dialects.prompts import token_ids
from serving.api.dialects.unions import validated
from serving.api.schemas.embeddings import EmbeddingsBody
from serving.api.schemas.wire import json_object
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest
from serving.pooling import EmbedRequest, Input
from serving.validation import kind_of


def parse_embeddings(body: bytes, settings: ApiSettings) -> EmbeddingsBody:
    """Parse and validate the JSON of a request; its input is checked by `embed_request`.

    Raises:
        InvalidRequest: the body is not JSON, or a value has the wrong type or is out of range.
        UnsupportedField: a field is unknown, or not supported here.
    """
    return validated(json_object(body, settings), EmbeddingsBody)


def embed_request(body: EmbeddingsBody, settings: ApiSettings, request_id: str) -> EmbedRequest:
    """Request to the engine.

    Raises:
        InvalidRequest: the input has the wrong type, or is longer than `settings` allow.
    """
    return EmbedRequest(
        request_id,
        _inputs(body.input, settings),
        body.dimensions,
        checked_truncation(body.truncate_prompt_tokens),
        body.priority,
        settings.deadline_s,
        body.user,
    )


def _inputs(given: object, settings: ApiSettings) -> tuple[Input, ...]:
    """One text, one list of token ids, or several of either; a list of numbers is one input."""
    if not isinstance(given, list):
        return (checked_text(given, "input", settings, "a string or a list"),)
    if given and type(given[0]) in (int, float):
        return (_tokens(given, "input", settings),)
    check_count("input", given, settings)
    if isinstance(given[0], list):
        return tuple(_tokens(one, f"input[{index}]", settings) for index, one in enumerate(given))
    return tuple(checked_text(one, f"input[{index}]", settings) for index, one in enumerate(given))


def _tokens(given: object, path: str, settings: ApiSettings) -> tuple[int, ...]:
    if not isinstance(given, list):
        raise InvalidRequest(f"Set '{path}' to a list of token ids, not {kind_of(given)}.", path)
    if len(given) > settings.max_input_chars:
        raise InvalidRequest(
            f"Shorten '{path}': it has {len(given)} token ids, at most {settings.max_input_chars} are accepted.", path
        )
    return token_ids(given, path)

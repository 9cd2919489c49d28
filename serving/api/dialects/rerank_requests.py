"""Parsing of requests for rankings: JSON to `RerankBody`, and the body to the engine's `RerankRequest`."""

from serving.api.dialects.pooling_checks import check_count, checked_text, checked_truncation
from serving.api.dialects.unions import validated
from serving.api.schemas.rerank import RerankBody
from serving.api.schemas.wire import json_object
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest, UnsupportedField
from serving.pooling import RerankRequest
from serving.validation import abbreviated, kind_of


def parse_rerank(body: bytes, settings: ApiSettings) -> RerankBody:
    """Parse and validate the JSON of a request; its documents are checked by `rerank_request`.

    Raises:
        InvalidRequest: the body is not JSON, or a value has the wrong type or is out of range.
        UnsupportedField: a field is unknown, or not supported here.
    """
    return validated(json_object(body, settings), RerankBody)


def rerank_request(body: RerankBody, settings: ApiSettings, request_id: str) -> RerankRequest:
    """Request to the engine.

    Raises:
        InvalidRequest: a document has the wrong type, or the texts are longer or more than `settings` allow.
        UnsupportedField: a document has other fields than `text`.
    """
    return RerankRequest(
        request_id,
        checked_text(body.query, "query", settings),
        _documents(body.documents, settings),
        body.max_tokens_per_doc,
        checked_truncation(body.truncate_prompt_tokens),
        body.priority,
        settings.deadline_s,
        body.user,
    )


def _documents(given: object, settings: ApiSettings) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise InvalidRequest(f"Set 'documents' to a list of strings, not {kind_of(given)}.", "documents")
    check_count("documents", given, settings)
    return tuple(_text(document, f"documents[{index}]", settings) for index, document in enumerate(given))


def _text(document: object, path: str, settings: ApiSettings) -> str:
    if not isinstance(document, dict):
        return checked_text(document, path, settings, "a string or an object with 'text'")
    if others := [name for name, value in document.items() if name != "text" and value is not None]:
        raise UnsupportedField(f"{path}.{abbreviated(others[0])}", "a document has only 'text'")
    if document.get("text") is None:
        raise InvalidRequest(f"Set '{path}.text': it is required.", f"{path}.text")
    return checked_text(document["text"], f"{path}.text", settings)

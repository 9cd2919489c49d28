"""Checks that requests for embeddings and for rankings share."""

from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest
from serving.pooling import TO_CONTEXT
from serving.validation import kind_of


def checked_text(value: object, path: str, settings: ApiSettings, expected: str = "a string") -> str:
    """`value`, which must be a text within the operator's limit; `expected`: for the error. Raises `InvalidRequest`."""
    if not isinstance(value, str):
        raise InvalidRequest(f"Set '{path}' to {expected}, not {kind_of(value)}.", path)
    if not value:
        raise InvalidRequest(f"Give '{path}' at least 1 character.", path)
    if len(value) > settings.max_input_chars:
        raise InvalidRequest(
            f"Shorten '{path}': it has {len(value)} characters, at most {settings.max_input_chars} are accepted.", path
        )
    return value


def check_count(name: str, entries: list[object], settings: ApiSettings) -> None:
    """Check the number of a list's entries. Raises `InvalidRequest`."""
    if not entries:
        raise InvalidRequest(f"Give '{name}' at least 1 entry.", name)
    if len(entries) > settings.max_inputs:
        raise InvalidRequest(
            f"Shorten '{name}': it has {len(entries)} entries, at most {settings.max_inputs} are accepted.", name
        )


def checked_truncation(tokens: int | None) -> int | None:
    """The value of `truncate_prompt_tokens`. Raises `InvalidRequest`."""
    name = "truncate_prompt_tokens"
    if tokens == 0:
        raise InvalidRequest(f"Set '{name}' to at least 1, or to {TO_CONTEXT} for the model's context, not 0.", name)
    return tokens

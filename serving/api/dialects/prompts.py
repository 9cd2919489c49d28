"""Prompts of a request: texts or token ids, one or several."""

from collections.abc import Sequence
from typing import cast

from serving.api.schemas.chat_fields import INT32_MAX
from serving.errors import InvalidRequest
from serving.validation import abbreviated, kind_of, shown

Prompts = tuple[str | tuple[int, ...], ...]
SHAPES = "a string, a list of strings, a list of token ids, or a list of such lists"


def parsed_prompts(raw: object, limit: int, path: str = "prompt") -> tuple[Prompts, bool]:
    """The prompts of the field at `path`, and true if it is a list of prompts.

    Args:
        raw: value of the field.
        limit: maximum number of prompts.
        path: of the field.

    Raises:
        InvalidRequest: the value has another shape than `SHAPES`, a list is empty or has several types, an id is out of
            range, or there are more prompts than `limit`.
    """
    if isinstance(raw, str):
        return (raw,), False
    if not isinstance(raw, list):
        raise InvalidRequest(f"Set '{path}' to {SHAPES}, not {kind_of(raw)}.", path)
    if not raw:
        raise InvalidRequest(f"Give '{path}' at least one entry.", path)
    if type(raw[0]) in (int, float):
        return (token_ids(raw, path),), False
    if len(raw) > limit:
        raise InvalidRequest(f"Shorten '{path}': it has {len(raw)} prompts, at most {limit} are accepted.", path)
    if isinstance(raw[0], str):
        for place, text in enumerate(raw):
            if not isinstance(text, str):
                raise _another_type(f"{path}[{place}]", "a string", text)
        return tuple(raw), True
    if isinstance(raw[0], list):
        for place, ids in enumerate(raw):
            if not isinstance(ids, list):
                raise _another_type(f"{path}[{place}]", "a list of token ids", ids)
        return tuple(token_ids(ids, f"{path}[{place}]") for place, ids in enumerate(raw)), True
    name = f"{path}[0]"
    raise InvalidRequest(f"Set '{name}' to a string, a token id or a list of token ids, not {_shown(raw[0])}.", name)


def token_ids(raw: Sequence[object], path: str) -> tuple[int, ...]:
    """Token ids of the list at `path`.

    Raises:
        InvalidRequest: the list is empty, or has something else than integers from 0 to 2^31 - 1. The engine, which has
            the vocabulary, refuses others.
    """
    if not raw:
        raise InvalidRequest(f"Give '{path}' at least one token.", path)
    entries = tuple(raw)
    if float in set(map(type, entries)):  # 2.0 is an integer in JSON Schema
        entries = tuple(int(one) if isinstance(one, float) and one.is_integer() else one for one in entries)
    if set(map(type, entries)) == {int}:  # all at once, as there may be some hundred thousand
        ids = cast(tuple[int, ...], entries)
        if min(ids) >= 0 and max(ids) <= INT32_MAX:
            return ids
    place = next(place for place, one in enumerate(entries) if type(one) is not int or not 0 <= one <= INT32_MAX)
    name = f"{path}[{place}]"
    if type(one := entries[place]) is int:
        raise InvalidRequest(f"Set '{name}' to a token id, 0 or more, not {abbreviated(str(one))}.", name)
    raise InvalidRequest(f"Set '{name}' to a token id, not {_shown(one)}.", name)


def _another_type(path: str, wanted: str, value: object) -> InvalidRequest:
    return InvalidRequest(f"Set '{path}' to {wanted}, as the entries before it, not {_shown(value)}.", path)


def _shown(value: object) -> str:
    return shown(value) if isinstance(value, float) else kind_of(value)

"""Digests of values: equal for equal values in all processes, whatever their hash seed is."""

import hashlib
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

SIZE = 32  # bytes


def digest(*values: Any) -> str:
    """Digest of values, hexadecimal.

    Fields of dataclasses that are not compared (`compare=False`) are left out. The order of a mapping counts: a schema
    in another order makes another prompt, and an answer in another order. Numbers of different types differ. A value of
    an unknown type is taken by its `repr`.
    """
    found = hashlib.blake2b(digest_size=SIZE)
    _feed(found.update, values)
    return found.hexdigest()


def _feed(update: Callable[[bytes], None], value: Any) -> None:
    """Give `value` to `update` so that no two values give the same bytes: each has its type and its length."""
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        update(b"s%d:" % len(data))
        update(data)
    elif value is None or isinstance(value, bool | int):
        update(f"{value!r};".encode())
    elif isinstance(value, float):
        update(f"f{value + 0.0!r};".encode())  # -0.0 is 0.0
    elif isinstance(value, bytes):
        update(b"b%d:" % len(value))
        update(value)
    elif isinstance(value, Mapping):
        update(b"m%d:" % len(value))
        for name, item in value.items():
            _feed(update, name)
            _feed(update, item)
    elif isinstance(value, tuple | list):
        update(b"l%d:" % len(value))
        for item in value:
            _feed(update, item)
    elif isinstance(value, AbstractSet):
        update(b"u%d:" % len(value))
        for one in sorted(digest(item) for item in value):
            update(one.encode())
    elif isinstance(value, BaseModel):
        _feed(update, (_name(value), {name: getattr(value, name) for name in type(value).model_fields}))
    elif is_dataclass(value) and not isinstance(value, type):
        update(b"d")
        _feed(update, _name(value))
        _feed(update, {field.name: getattr(value, field.name) for field in fields(value) if field.compare})
    else:
        _feed(update, (_name(value), repr(value)))


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"

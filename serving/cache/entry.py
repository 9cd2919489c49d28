"""Whole answers as bytes, and back."""

import zlib

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError, ValidationError

from serving.types import Completion

FORM = b"moa1"  # of an entry; one that begins with anything else is another version's
MAX_BYTES = 2**27  # of an entry when it has been read: no small entry can fill the memory


class StoredAnswer(BaseModel):
    """JSON of an entry."""

    # -inf and NaN are logprobs; bytes are those of tokens.
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")

    completion: Completion


class UnusableEntry(ValueError):
    """The bytes are no entry of this version, or are damaged."""


def encoded(completion: Completion) -> bytes:
    """An entry. Raises `ValueError` if a text is not valid Unicode."""
    try:
        return FORM + zlib.compress(StoredAnswer(completion=completion).model_dump_json().encode(), 1)
    except PydanticSerializationError as error:
        raise ValueError("a text is not valid Unicode") from error


def decoded(entry: bytes) -> Completion:
    """The answer of an entry. Raises `UnusableEntry`."""
    if not entry.startswith(FORM):
        raise UnusableEntry("it has another version")
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(memoryview(entry)[len(FORM) :], MAX_BYTES)
        if not reader.eof or reader.unused_data:
            raise UnusableEntry("it is cut or too large")
        return StoredAnswer.model_validate_json(text).completion
    except (zlib.error, ValidationError) as error:
        raise UnusableEntry(type(error).__name__) from None

"""Requests that cannot be answered without the store."""

from collections.abc import Iterator
from contextlib import contextmanager

from serving.errors import StoreRequired
from serving.store.errors import StoreUnavailable


@contextmanager
def required(subject: str) -> Iterator[None]:
    """Raise `StoreRequired` if the store cannot be reached in the block.

    `subject`: begins the error's sentence: "Usage cannot be read".
    """
    try:
        yield
    except StoreUnavailable as error:
        raise StoreRequired(subject) from error

"""Dependency of the endpoints of files and batches: the store, for one caller."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from serving.api.dependencies import Exchange, ServerParts, require_key
from serving.api.owners import owner_of
from serving.batches.service import Batches
from serving.errors import StoreRequired
from serving.store.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class CallersBatches:
    """Files and batches, and the caller to whom they must belong."""

    batches: Batches
    owner: str


async def callers_batches(
    server: ServerParts, exchange: Exchange, _: Annotated[None, Depends(require_key)]
) -> CallersBatches:
    """The store for the caller, whose key has been checked."""
    assert server.batches is not None  # the endpoints exist only if there are batches
    return CallersBatches(server.batches, owner_of(server.keys, exchange.caller))


BatchStore = Annotated[CallersBatches, Depends(callers_batches)]


@contextmanager
def required() -> Iterator[None]:
    """Answer with `StoreRequired` if the store cannot be reached."""
    try:
        yield
    except StoreUnavailable as error:
        raise StoreRequired("Files and batches are not available") from error

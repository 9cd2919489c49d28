"""Dependency of the endpoints of files and batches: the store, for one caller."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from serving.api.dependencies import Exchange, ServerParts, require_key
from serving.api.owners import owner_of
from serving.api.store_required import required
from serving.batches.service import Batches


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


def reached() -> AbstractContextManager[None]:
    """Raise `StoreRequired` if files and batches cannot be reached in the block."""
    return required("Files and batches are not available")

"""`/v1/batches`: files of requests that are answered in the background."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from serving.api.batch_store import BatchStore, reached
from serving.api.dependencies import GENERATING, body_parser, require_key
from serving.api.dialects.batches_answers import batch_json, page_json
from serving.api.dialects.batches_requests import new_batch, parse_batch, whole_number
from serving.api.errors import JsonResponse
from serving.api.openapi import json_body, responses
from serving.api.routers.chat import CHAT
from serving.api.routers.completions import COMPLETIONS
from serving.api.routers.embeddings import EMBEDDING, EMBEDDINGS
from serving.api.routers.messages import MESSAGES
from serving.api.routers.rerank import RANKING, RERANK
from serving.api.routers.responses import RESPONSES
from serving.api.schemas.batches import BatchBody, BatchList, BatchRead
from serving.cards import Task
from serving.errors import (
    BodyTooLarge,
    InvalidRequest,
    Overloaded,
    SlowBody,
    StoreRequired,
    Unauthorized,
    UnknownObject,
    UnsupportedField,
    WrongContentType,
)
from serving.store.batch_results import Counts
from serving.store.batch_rows import Batch

BATCHES = "/v1/batches"
MAX_PAGE, PAGE = 100, 20
# Paths of requests in a batch, with the tasks of the models that answer them.
ENDPOINTS: Mapping[str, Collection[Task]] = {
    **dict.fromkeys((CHAT, RESPONSES, COMPLETIONS, MESSAGES), GENERATING),
    EMBEDDINGS: EMBEDDING,
    RERANK: RANKING,
}
ENDED = ("completed", "expired", "cancelled", "failed")
router = APIRouter(tags=["batches"], dependencies=[Depends(require_key)])


async def _batch(store: BatchStore, batch_id: str, param: str | None = None) -> Batch:
    with reached():
        batch = await store.batches.rows.get(batch_id, store.owner)
    if batch is None:
        raise UnknownObject("batch", batch_id[:64], param)
    return batch


async def _described(store: BatchStore, batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """JSON of batches, with the results so far of those that have not ended."""
    running = [batch.id for batch in batches if batch.open]
    with reached():
        counts = await store.batches.results.counts(running) if running else {}
        # The results of one that has ended since it was read are in its row.
        batches = [
            batch if batch.id in counts or not batch.open else await store.batches.rows.get(batch.id) or batch
            for batch in batches
        ]
    return [batch_json(batch, counts.get(batch.id, Counts()) if batch.open else None) for batch in batches]


@router.post(
    BATCHES,
    openapi_extra=json_body(BatchBody),
    response_class=JsonResponse,
    responses=responses(
        BatchRead,
        *(InvalidRequest, UnsupportedField, Unauthorized, UnknownObject, SlowBody, BodyTooLarge),
        *(WrongContentType, Overloaded, StoreRequired),
        description="The batch, whose file is checked next.",
    ),
)
async def create_batch(
    body: Annotated[BatchBody, Depends(body_parser(parse_batch))], store: BatchStore
) -> JsonResponse:
    """Begin a batch."""
    settings = store.batches.settings
    with reached():
        file = await store.batches.files.get(body.input_file_id, store.owner)
        if file is None:
            raise UnknownObject("file", body.input_file_id, "input_file_id")
        if file.purpose != "batch":
            raise InvalidRequest(
                "Upload the file with the purpose 'batch': this one was written by a batch.", "input_file_id"
            )
        batch = new_batch(body, store.owner, settings.file_ttl_s)
        if not await store.batches.rows.add(batch, settings.max_open):
            raise Overloaded(f"Wait for a batch to end: a key has at most {settings.max_open} at a time.", 60)
    return JsonResponse(batch_json(batch, None))


@router.get(
    BATCHES,
    response_class=JsonResponse,
    responses=responses(
        BatchList, InvalidRequest, Unauthorized, UnknownObject, StoreRequired, description="Batches, the newest first."
    ),
)
async def list_batches(
    store: BatchStore,
    limit: Annotated[str | None, Query(description="Batches at most, up to 100; default: 20.")] = None,
    after: Annotated[str | None, Query(description="Id of the last batch of the page before.")] = None,
) -> JsonResponse:
    """List the caller's batches."""
    most = whole_number(limit, "limit", PAGE, MAX_PAGE)
    behind = await _batch(store, after, "after") if after else None
    with reached():
        batches = await store.batches.rows.page(store.owner, behind, most + 1)
    return JsonResponse(page_json(await _described(store, batches), most))


OF_ONE = (Unauthorized, UnknownObject, StoreRequired)


@router.get(
    f"{BATCHES}/{{batch_id}}",
    response_class=JsonResponse,
    responses=responses(BatchRead, *OF_ONE, description="The batch."),
)
async def retrieve_batch(batch_id: str, store: BatchStore) -> JsonResponse:
    """Describe a batch."""
    [described] = await _described(store, [await _batch(store, batch_id)])
    return JsonResponse(described)


@router.post(
    f"{BATCHES}/{{batch_id}}/cancel",
    response_class=JsonResponse,
    responses=responses(BatchRead, InvalidRequest, *OF_ONE, description="The batch, which ends soon."),
)
async def cancel_batch(batch_id: str, store: BatchStore) -> JsonResponse:
    """Cancel a batch. Its answers so far are written to the output file."""
    batch = await _batch(store, batch_id)
    if batch.status in ENDED:
        raise InvalidRequest(f"This batch has ended already: its status is '{batch.status}'.")
    with reached():
        await store.batches.rows.cancel(batch.id)
    [described] = await _described(store, [await _batch(store, batch_id)])
    return JsonResponse(described)

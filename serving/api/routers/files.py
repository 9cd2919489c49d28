"""`/v1/files`: files for batches, and the files that batches write."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from serving.api.batch_store import BatchStore, reached
from serving.api.dependencies import Exchange, require_key
from serving.api.dialects.batches_answers import file_json, page_json
from serving.api.dialects.batches_requests import (
    ANCHOR,
    ANCHOR_EVENT,
    PURPOSE,
    SECONDS,
    file_name,
    upload_ttl_s,
    whole_number,
)
from serving.api.errors import JsonResponse
from serving.api.openapi import responses
from serving.api.schemas.batches import MAX_TTL_S, MIN_TTL_S, FileDeleted, FileList, FileRead
from serving.api.uploads import FORM, upload
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
from serving.store.batch_files import FileInUse, FilesFull, StoredFile

FILES = "/v1/files"
MAX_PAGE = 10_000
router = APIRouter(tags=["batches"], dependencies=[Depends(require_key)])
FORM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "A request a line, in JSON."},
                        "purpose": {"const": PURPOSE},
                        ANCHOR: {"const": ANCHOR_EVENT},
                        SECONDS: {"type": "integer", "minimum": MIN_TTL_S, "maximum": MAX_TTL_S},
                    },
                }
            }
        },
    }
}


async def _file(store: BatchStore, file_id: str, param: str | None = None) -> StoredFile:
    with reached():
        file = await store.batches.files.get(file_id, store.owner)
    if file is None:
        raise UnknownObject("file", file_id[:64], param)
    return file


@router.post(
    FILES,
    openapi_extra=FORM_BODY,
    response_class=JsonResponse,
    responses=responses(
        FileRead,
        *(InvalidRequest, UnsupportedField, Unauthorized, SlowBody, BodyTooLarge, WrongContentType),
        *(Overloaded, StoreRequired),
        description="The file.",
    ),
)
async def upload_file(store: BatchStore, exchange: Exchange) -> JsonResponse:
    """Upload a file for a batch."""
    settings = store.batches.settings
    with store.batches.upload() as has_room:
        if not has_room:
            raise Overloaded(f"The server is receiving {settings.max_uploads} files, its limit; try again later.", 5)
        return await _receive(store, exchange)


async def _receive(store: BatchStore, exchange: Exchange) -> JsonResponse:
    settings = store.batches.settings
    async with upload(exchange, settings.max_file_bytes, settings.upload_timeout_s) as given:
        ttl_s = upload_ttl_s(given.fields, settings.file_ttl_s)
        name = file_name(given.file.filename)
        try:
            with reached():
                file = await store.batches.files.add(
                    store.owner, name, given.pieces(), ttl_s, settings.max_stored_bytes
                )
        except FilesFull:
            raise InvalidRequest(
                f"Delete files first: those of a key have at most {settings.max_stored_bytes} bytes.", "file"
            ) from None
    return JsonResponse(file_json(file))


@router.get(
    FILES,
    response_class=JsonResponse,
    responses=responses(
        FileList, InvalidRequest, Unauthorized, UnknownObject, StoreRequired, description="Files, the newest first."
    ),
)
async def list_files(
    store: BatchStore,
    purpose: Annotated[str | None, Query(description="Only files for this purpose.")] = None,
    limit: Annotated[str | None, Query(description="Files at most, up to 10000; default: 10000.")] = None,
    order: Annotated[str | None, Query(description="`desc` (default) or `asc`, by time.")] = None,
    after: Annotated[str | None, Query(description="Id of the last file of the page before.")] = None,
) -> JsonResponse:
    """List the caller's files."""
    most = whole_number(limit, "limit", MAX_PAGE, MAX_PAGE)
    if order not in (None, "asc", "desc"):
        raise InvalidRequest("Set 'order' to 'asc' or 'desc'.", "order")
    behind = await _file(store, after, "after") if after else None
    with reached():
        files = await store.batches.files.page(store.owner, purpose, behind, most + 1, order == "asc")
    return JsonResponse(page_json([file_json(file) for file in files], most))


OF_ONE = (Unauthorized, UnknownObject, StoreRequired)


@router.get(
    f"{FILES}/{{file_id}}",
    response_class=JsonResponse,
    responses=responses(FileRead, *OF_ONE, description="The file."),
)
async def retrieve_file(file_id: str, store: BatchStore) -> JsonResponse:
    """Describe a file."""
    return JsonResponse(file_json(await _file(store, file_id)))


@router.delete(
    f"{FILES}/{{file_id}}",
    response_class=JsonResponse,
    responses=responses(FileDeleted, InvalidRequest, *OF_ONE, description="It is removed."),
)
async def delete_file(file_id: str, store: BatchStore) -> JsonResponse:
    """Remove a file."""
    file = await _file(store, file_id)
    try:
        with reached():
            await store.batches.files.remove(file.id)
    except FileInUse:
        raise InvalidRequest("Cancel the batch that reads the file, or wait for its end, and delete it then.") from None
    return JsonResponse({"id": file.id, "object": "file", "deleted": True})


CONTENT = responses(FileRead, *OF_ONE, description="The content.")
CONTENT[200]["content"] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get(f"{FILES}/{{file_id}}/content", response_class=Response, responses=CONTENT)
async def file_content(file_id: str, store: BatchStore) -> Response:
    """Read a file's content."""
    file = await _file(store, file_id)
    pieces = store.batches.files.contents.read(file.id)
    try:
        with reached():
            first = await anext(pieces, b"")  # so that a store that is away has its own status
    except FileNotFoundError:
        raise UnknownObject("file", file.id) from None

    async def content() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    headers = {"content-length": str(file.bytes)}
    return StreamingResponse(content(), media_type="application/octet-stream", headers=headers)

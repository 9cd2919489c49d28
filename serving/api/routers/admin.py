"""`/v1/admin/keys`: keys in the store, for callers whose key may manage them."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends
from pydantic import ValidationError

from serving.api.dependencies import Exchange, Server, ServerParts, body_parser, require_key
from serving.api.errors import JsonResponse
from serving.api.key_checks import limits_issue, models_issue, name_issue
from serving.api.openapi import json_body, responses
from serving.api.schemas.admin import KeyList, KeyMade, KeyRead, key_json
from serving.api.schemas.wire import json_object
from serving.api.settings import ApiSettings
from serving.api.store_required import required
from serving.api.stored_settings import KeyChanges, NewKey, Rotation
from serving.config import Frozen
from serving.errors import (
    AdminKeyRequired,
    BodyTooLarge,
    InvalidRequest,
    MoaError,
    Overloaded,
    SlowBody,
    StoreRequired,
    Unauthorized,
    UnknownKey,
    WrongContentType,
)
from serving.store.key_store import KeyRecord, KeyStore, NameTaken, NoSuchKey
from serving.validation import first_issue

KEYS = "/v1/admin/keys"
Body = TypeVar("Body", bound=Frozen)
OF_READING = (Unauthorized, AdminKeyRequired, StoreRequired, InvalidRequest, MoaError)
OF_CHANGES = (*OF_READING, UnknownKey, SlowBody, BodyTooLarge, WrongContentType, Overloaded)


async def require_admin(server: ServerParts, exchange: Exchange) -> None:
    """Check that the caller may manage keys. Raises `AdminKeyRequired`, or `InvalidRequest` if there is no store."""
    if not exchange.caller.admin:
        raise AdminKeyRequired
    if server.store is None:
        raise InvalidRequest("Set store.enabled to true in the server's profile: without a store it keeps no keys.")


router = APIRouter(tags=["keys"], dependencies=[Depends(require_key), Depends(require_admin)])


def parser(model: type[Body]) -> Callable[[bytes, ApiSettings], Body]:
    """Parser of a body. A null is a value, unlike in other requests: no limit."""

    def parse(raw: bytes, settings: ApiSettings) -> Body:
        try:
            return model.model_validate(json_object(raw, settings))
        except ValidationError as error:
            issue = first_issue(error)
            raise InvalidRequest(issue.sentence, issue.path) from None

    return parse


def key_store(server: Server) -> KeyStore:
    """The keys of the server's store."""
    assert server.store is not None
    return KeyStore(server.store.database)


def check(server: Server, given: KeyChanges) -> None:
    """Check what a key may use. Raises `InvalidRequest`."""
    place = "the key"
    why = models_issue(given.models or (), place, server.settings, server.cards)
    if why := why or limits_issue(given.limits, place, server.settings, server.cards):
        raise InvalidRequest(why)


def reached() -> AbstractContextManager[None]:
    """Raise `StoreRequired` if the keys cannot be reached in the block."""
    return required("Keys cannot be managed")


async def learned(server: Server) -> None:
    """Let this replica know what has changed; the others learn it when they read the keys again."""
    if server.stored_keys is not None:
        await server.stored_keys.refresh()


@router.get(KEYS, response_class=JsonResponse, responses=responses(KeyList, *OF_READING, description="The keys."))
async def list_keys(server: ServerParts) -> JsonResponse:
    """List all keys of the store, oldest first; without what would let anybody use one."""
    with reached():
        records = await key_store(server).records()
    now = time.time()
    return JsonResponse({"object": "list", "data": [key_json(record, now) for record in records]})


@router.post(
    KEYS,
    openapi_extra=json_body(NewKey),
    response_class=JsonResponse,
    responses=responses(KeyMade, *OF_CHANGES, description="The new key."),
)
async def create_key(
    body: Annotated[NewKey, Depends(body_parser(parser(NewKey)))], server: ServerParts
) -> JsonResponse:
    """Make a key. The answer is the only place where it is shown."""
    check(server, body)
    if why := name_issue(body.name, server.settings):
        raise InvalidRequest(why, "name")
    columns = body.columns()
    try:
        with reached():
            key, record = await key_store(server).create(
                body.name,
                body.team,
                columns["settings"],
                admin=body.admin,
                expires_at=columns.get("expires_at"),
            )
    except NameTaken:
        raise InvalidRequest(
            f"Change 'name': a valid key '{body.name}' exists; rotate it to replace it.", "name"
        ) from None
    await learned(server)
    return JsonResponse({**key_json(record, time.time()), "key": key.text})


@router.get(KEYS + "/{name}", response_class=JsonResponse, responses=responses(KeyList, *OF_READING, UnknownKey))
async def retrieve_key(name: str, server: ServerParts) -> JsonResponse:
    """Show the keys of a name: one, or several while it is replaced, and those that were revoked."""
    with reached():
        records = await key_store(server).records(name)
    if not records:
        raise UnknownKey(name[:64])
    now = time.time()
    return JsonResponse({"object": "list", "data": [key_json(record, now) for record in records]})


@router.patch(
    KEYS + "/{name}",
    openapi_extra=json_body(KeyChanges),
    response_class=JsonResponse,
    responses=responses(KeyRead, *OF_CHANGES, description="The key."),
)
async def change_key(
    name: str, body: Annotated[KeyChanges, Depends(body_parser(parser(KeyChanges)))], server: ServerParts
) -> JsonResponse:
    """Change a key's settings; those not given stay as they are."""
    check(server, body)
    store = key_store(server)
    with _existing(name):
        valid = [one for one in await store.records(name) if one.valid(time.time())]
        if not valid:
            raise UnknownKey(name[:64])
        return await _changed(server, await store.change(name, body.columns(valid[-1].settings)))


@router.delete(KEYS + "/{name}", response_class=JsonResponse, responses=responses(KeyRead, *OF_READING, UnknownKey))
async def revoke_key(name: str, server: ServerParts) -> JsonResponse:
    """Revoke a key: all replicas refuse it within seconds."""
    with _existing(name):
        return await _changed(server, await key_store(server).revoke(name))


@router.post(
    KEYS + "/{name}/rotate",
    openapi_extra=json_body(Rotation),
    response_class=JsonResponse,
    responses=responses(KeyMade, *OF_CHANGES, description="The new key."),
)
async def rotate_key(
    name: str, body: Annotated[Rotation, Depends(body_parser(parser(Rotation)))], server: ServerParts
) -> JsonResponse:
    """Replace a key by a new one of the same name and settings, which is shown here only."""
    with _existing(name):
        key, record = await key_store(server).rotate(name, body.grace_s)
    await learned(server)
    return JsonResponse({**key_json(record, time.time()), "key": key.text})


@contextmanager
def _existing(name: str) -> Iterator[None]:
    """Raise `UnknownKey` if the block finds no valid key with this name, `StoreRequired` if keys cannot be reached."""
    try:
        with reached():
            yield
    except NoSuchKey:
        raise UnknownKey(name[:64]) from None


async def _changed(server: Server, records: list[KeyRecord]) -> JsonResponse:
    await learned(server)
    return JsonResponse(key_json(records[-1], time.time()))

"""`/v1/models` and `/v1/models/{id}`; an id may contain slashes."""

import time
from collections.abc import Mapping, Set
from typing import Any

from fastapi import APIRouter, Depends

from serving.api.dependencies import Exchange, ServerParts, require_key
from serving.api.errors import JsonResponse
from serving.api.openapi import responses
from serving.api.schemas.status import ModelDetails, ModelList
from serving.cards import ModelCard
from serving.errors import Unauthorized, UnknownModel

router = APIRouter(tags=["models"], dependencies=[Depends(require_key)])
CREATED = int(time.time())  # in seconds; a model has no date of its own here


def model_json(card: ModelCard, name: str = "") -> dict[str, Any]:
    """OpenAI's model object, with the fields of this server. `name`: an alias, or the card's own id."""
    fields = {
        "id": name or card.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "moa-serve",
        "root": card.parent or card.id,
        "parent": card.parent,
        "kind": card.kind,
        "max_model_len": card.context_tokens,
        "modalities": list(card.modalities),
        "description": card.description,
        "task": card.task,
        "thinking": card.thinking,
        "tools": card.tools,
        "usd_per_million_tokens": card.usd_per_million_tokens,
    }
    return fields if name in ("", card.id) else {**fields, "alias_of": card.id}


@router.get("/v1/models/", include_in_schema=False)  # programs that join the base URL and "" ask for it
@router.get(
    "/v1/models",
    response_class=JsonResponse,
    responses=responses(ModelList, Unauthorized, description="All models, recipes and aliases."),
)
async def list_models(server: ServerParts, exchange: Exchange) -> JsonResponse:
    """List all models and recipes that the caller may use, then their aliases."""
    caller = exchange.caller
    data = [model_json(server.any_card(name, caller), name) for name in server.names(caller)]
    return JsonResponse({"object": "list", "data": data})


@router.get(
    "/v1/models/{model_id:path}",
    response_class=JsonResponse,
    responses=responses(ModelDetails, Unauthorized, UnknownModel, description="The model or recipe."),
)
async def retrieve_model(model_id: str, server: ServerParts, exchange: Exchange) -> JsonResponse:
    """Describe one model or recipe, by its id or an alias, with the settings that a request may change in `moa`."""
    card = server.any_card(model_id, exchange.caller)
    hidden = {name for name in server.cards if not server.exists(name, exchange.caller)}
    settings = _without(card.settings, hidden) if hidden else card.settings
    return JsonResponse({**model_json(card, model_id), "settings": settings})


def _without(schema: Any, hidden: Set[str]) -> Any:
    """A JSON schema without the models in `hidden`, as choices and as defaults."""
    if isinstance(schema, Mapping):
        return {
            name: _without(value, hidden)
            for name, value in schema.items()
            if name != "default" or hidden.isdisjoint(value if isinstance(value, list) else (str(value),))
        }
    if isinstance(schema, list | tuple):
        return [_without(value, hidden) for value in schema if not (isinstance(value, str) and value in hidden)]
    return schema

"""`/v1/models` and `/v1/models/{id}`; an id may contain slashes."""

import time
from typing import Any

from fastapi import APIRouter, Depends

from serving.api.dependencies import ServerParts, require_key
from serving.api.errors import JsonResponse
from serving.api.openapi import responses
from serving.api.schemas.status import ModelList, ModelRead
from serving.errors import Unauthorized, UnknownModel
from serving.types import ModelCard

router = APIRouter(tags=["models"], dependencies=[Depends(require_key)])
CREATED = int(time.time())  # in seconds; a model has no date of its own here


def model_json(card: ModelCard) -> dict[str, Any]:
    """OpenAI's model object, with the fields of this server."""
    return {
        "id": card.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "moa-serve",
        "kind": card.kind,
        "max_model_len": card.context_tokens,
        "modalities": list(card.modalities),
        "description": card.description,
    }


@router.get("/v1/models/", include_in_schema=False)  # programs that join the base URL and "" ask for it
@router.get(
    "/v1/models",
    response_class=JsonResponse,
    responses=responses(ModelList, Unauthorized, description="All models and recipes."),
)
async def list_models(server: ServerParts) -> JsonResponse:
    """List all models and recipes."""
    return JsonResponse({"object": "list", "data": [model_json(card) for card in server.cards.values()]})


@router.get(
    "/v1/models/{model_id:path}",
    response_class=JsonResponse,
    responses=responses(ModelRead, Unauthorized, UnknownModel, description="The model or recipe."),
)
async def retrieve_model(model_id: str, server: ServerParts) -> JsonResponse:
    """Describe one model or recipe."""
    return JsonResponse(model_json(server.card(model_id)))

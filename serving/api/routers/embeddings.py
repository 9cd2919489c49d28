"""`POST /v1/embeddings`: vectors of texts, by a model whose task is `embed`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from serving.api.dependencies import Exchange, ServerParts, body_parser, require_key
from serving.api.dialects.embeddings_answers import embeddings_json
from serving.api.dialects.embeddings_requests import embed_request, parse_embeddings
from serving.api.errors import JsonResponse
from serving.api.openapi import OF_POOLING, json_body, responses
from serving.api.pooling import pooled
from serving.api.schemas.embeddings import EmbeddingList, EmbeddingsBody
from serving.cards import Task

EMBEDDINGS = "/v1/embeddings"
EMBEDDING: tuple[Task, ...] = ("embed",)
router = APIRouter(tags=["embeddings and rankings"], dependencies=[Depends(require_key)])


@router.post(
    EMBEDDINGS,
    openapi_extra=json_body(EmbeddingsBody),
    response_class=JsonResponse,
    responses=responses(EmbeddingList, *OF_POOLING, description="The embeddings."),
)
async def create_embeddings(
    body: Annotated[EmbeddingsBody, Depends(body_parser(parse_embeddings))], server: ServerParts, exchange: Exchange
) -> Response:
    """Compute the embedding of each input."""
    card = server.card(body.model, exchange.caller, EMBEDDING)
    engine = server.pooling[card.id]
    request = embed_request(body, server.settings, exchange.engine_request_id)
    answer_id = f"embd-{exchange.engine_request_id}"
    with server.admission.permit(exchange.caller):
        vectors = await pooled(server, exchange, card, request, answer_id, engine.embed)
        content = await embeddings_json(answer_id, body.model, vectors, body.encoding_format)
        return Response(content, media_type="application/json")

"""`POST /v1/rerank`: documents by their relevance to a query, by a model whose task is `rerank` or `embed`."""

from typing import Annotated

from fastapi import APIRouter, Depends

from serving.api.dependencies import Exchange, ServerParts, body_parser, require_key
from serving.api.dialects.rerank_answers import ranking_json
from serving.api.dialects.rerank_requests import parse_rerank, rerank_request
from serving.api.errors import JsonResponse
from serving.api.openapi import OF_POOLING, json_body, responses
from serving.api.pooling import pooled
from serving.api.schemas.rerank import Ranking, RerankBody
from serving.cards import Task

RERANK = "/v1/rerank"
RANKING: tuple[Task, ...] = ("rerank", "embed")
router = APIRouter(tags=["embeddings and rankings"], dependencies=[Depends(require_key)])


@router.post("/rerank", include_in_schema=False)  # Jina's clients, with a base URL without /v1
@router.post("/v2/rerank", include_in_schema=False)  # Cohere's second client
@router.post(
    RERANK,
    openapi_extra=json_body(RerankBody),
    response_class=JsonResponse,
    responses=responses(Ranking, *OF_POOLING, description="The most relevant documents, best first."),
)
async def rerank_documents(
    body: Annotated[RerankBody, Depends(body_parser(parse_rerank))], server: ServerParts, exchange: Exchange
) -> JsonResponse:
    """Rank documents by their relevance to a query."""
    card = server.card(body.model, exchange.caller, RANKING)
    engine = server.pooling[card.id]
    request = rerank_request(body, server.settings, exchange.engine_request_id)
    answer_id = f"rerank-{exchange.engine_request_id}"
    with server.admission.permit(exchange.caller):
        scores = await pooled(server, exchange, card, request, answer_id, engine.rerank)
        ranking = ranking_json(answer_id, body.model, request, scores, body.top_n, body.return_documents)
        return JsonResponse(ranking)

"""`POST /tokenize` and `POST /detokenize`: a model's tokens, at the paths that vLLM has."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends

from serving.api.dependencies import Exchange, Server, ServerParts, body_parser, require_key
from serving.api.dialects.image_parts import chat_images
from serving.api.dialects.tokens_requests import (
    TokenizeRequest,
    check_model,
    parse_detokenize,
    parse_tokenize,
    tokenize_request,
)
from serving.api.errors import JsonResponse, encodable
from serving.api.exchange import HttpExchange
from serving.api.image_reader import NO_IMAGES
from serving.api.openapi import OF_GENERATION, json_body, responses
from serving.api.request_task import RequestTask
from serving.api.schemas.tokens import DetokenizeBody, DetokenizeRead, TokenizeBody, TokenizeRead

T = TypeVar("T")
router = APIRouter(tags=["tokens"], dependencies=[Depends(require_key)])


@router.post(
    "/tokenize",
    openapi_extra=json_body(TokenizeBody),
    response_class=JsonResponse,
    responses=responses(TokenizeRead, *OF_GENERATION, description="The tokens."),
)
async def tokenize(
    asked: Annotated[TokenizeRequest, Depends(body_parser(parse_tokenize))], server: ServerParts, exchange: Exchange
) -> JsonResponse:
    """Return the tokens of a prompt, or of a conversation as its chat template writes it."""
    body = asked.body
    card = server.card(body.model, exchange.caller)
    engine = server.engines[card.id]
    images = NO_IMAGES if asked.chat is None else await server.images(chat_images(asked.chat), exchange.caller)
    request = tokenize_request(asked, card, engine.info, server.settings, exchange.engine_request_id, images)
    working = engine.tokenize(exchange.own(request), texts=body.return_token_strs)
    tokens = await _result(server, exchange, card.id, working)
    return JsonResponse(
        {
            "count": len(tokens.ids),
            "max_model_len": tokens.context_tokens,
            "tokens": tokens.ids,
            "token_strs": None if tokens.texts is None else [encodable(text) for text in tokens.texts],
        }
    )


@router.post(
    "/detokenize",
    openapi_extra=json_body(DetokenizeBody),
    response_class=JsonResponse,
    responses=responses(DetokenizeRead, *OF_GENERATION, description="The text."),
)
async def detokenize(
    body: Annotated[DetokenizeBody, Depends(body_parser(parse_detokenize))], server: ServerParts, exchange: Exchange
) -> JsonResponse:
    """Return the text of token ids, that of control tokens included."""
    card = server.card(body.model, exchange.caller)
    check_model(card)
    working = server.engines[card.id].detokenize(tuple(body.tokens))
    return JsonResponse({"prompt": encodable(await _result(server, exchange, card.id, working))})


async def _result(server: Server, exchange: HttpExchange, model: str, working: Coroutine[None, None, T]) -> T:
    """Result of an engine's work, which ends if the client disconnects."""
    with server.admission.permit(exchange.caller):
        async with RequestTask(exchange, model, working, server.settings.deadline_s) as request_task:
            await asyncio.wait({request_task.task})
            return request_task.result()

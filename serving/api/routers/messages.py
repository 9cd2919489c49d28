"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's Messages API."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from serving.api.answer import Asked
from serving.api.dependencies import Exchange, ServerParts, body_parser, require_key
from serving.api.dialects.image_parts import messages_images
from serving.api.dialects.messages_answers import MessagesAnswer
from serving.api.dialects.messages_requests import count_request, messages_request, parse_count, parse_messages
from serving.api.dialects.unsupported_tools import log_omitted
from serving.api.errors import JsonResponse
from serving.api.openapi import OF_ANSWERS, OF_GENERATION, json_body, responses
from serving.api.request_task import RequestTask
from serving.api.schemas.messages import CountTokensBody, MessagesBody
from serving.api.schemas.messages_answers import MessageEvent, MessageRead, MessagesErrorBody, TokenCount
from serving.api.streaming import GenerationResponse
from serving.cards import ModelCard

MESSAGES = "/v1/messages"
router = APIRouter(tags=["generation"], dependencies=[Depends(require_key)])


@router.post(
    MESSAGES,
    openapi_extra=json_body(MessagesBody),
    response_class=JsonResponse,
    responses=responses(
        MessageRead,
        *OF_GENERATION,
        description='The answer: JSON, or events if the request has `"stream": true`.',
        chunk=MessageEvent,
        headers=OF_ANSWERS,
        error_body=MessagesErrorBody,
        event_name=True,
    ),
)
async def create_message(
    body: Annotated[MessagesBody, Depends(body_parser(parse_messages))], server: ServerParts, exchange: Exchange
) -> Response:
    """Answer a conversation with a model or a recipe."""
    card = server.card(body.model, exchange.caller)
    images = await server.images(messages_images(body), exchange.caller)

    def asked(card: ModelCard) -> Asked:
        info = server.engines[card.id].info
        ids = exchange.engine_request_id, exchange.headers
        request = messages_request(body, card, info, server.settings, *ids, images)
        answer = MessagesAnswer(
            f"msg_{exchange.engine_request_id}",
            body.model,
            exchange.request_id,
            show_thinking=getattr(body.thinking, "display", None) != "omitted",
            trace=request.moa.trace,
            omitted=body.omitted,
            preview=request.moa.preview,
        )
        return Asked((request,), answer)

    response = GenerationResponse(server, exchange, card, asked)
    log_omitted(body, exchange.request_id)
    return response


@router.post(
    f"{MESSAGES}/count_tokens",
    openapi_extra=json_body(CountTokensBody),
    response_class=JsonResponse,
    responses=responses(TokenCount, *OF_GENERATION, description="The number of tokens.", error_body=MessagesErrorBody),
)
async def count_message_tokens(
    body: Annotated[CountTokensBody, Depends(body_parser(parse_count))], server: ServerParts, exchange: Exchange
) -> JsonResponse:
    """Count the tokens of a conversation, as the model that would answer it sees them."""
    card = server.card(body.model, exchange.caller)
    engine = server.engines[card.id]
    images = await server.images(messages_images(body), exchange.caller)
    request = count_request(body, engine.info, server.settings, exchange.engine_request_id, images)
    with server.admission.permit(exchange.caller):
        counting = engine.count_tokens(exchange.own(request))
        async with RequestTask(exchange, card.id, counting, server.settings.deadline_s) as request_task:
            await asyncio.wait({request_task.task})
            return JsonResponse({"input_tokens": request_task.result()})

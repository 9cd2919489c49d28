"""`POST /v1/chat/completions`: whole answers and streams, by the same call of the same engine."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from serving.api.answer import Asked
from serving.api.dependencies import Exchange, ServerParts, body_parser, require_key
from serving.api.dialects.chat_answers import AnswerInfo, ChatAnswer
from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.dialects.image_parts import chat_images
from serving.api.errors import JsonResponse
from serving.api.image_reader import NO_IMAGES
from serving.api.openapi import OF_ANSWERS, OF_GENERATION, json_body, responses
from serving.api.schemas.chat import ChatBody
from serving.api.schemas.chat_answers import ChatCompletion, ChatCompletionChunk
from serving.api.streaming import GenerationResponse
from serving.cards import ModelCard

CHAT = "/v1/chat/completions"
router = APIRouter(tags=["generation"], dependencies=[Depends(require_key)])


@router.post(
    CHAT,
    openapi_extra=json_body(ChatBody),
    response_class=JsonResponse,
    responses=responses(
        ChatCompletion,
        *OF_GENERATION,
        description='The answer: JSON, or events if the request has `"stream": true`.',
        chunk=ChatCompletionChunk,
        headers=OF_ANSWERS,
    ),
)
async def create_chat_completion(
    body: Annotated[ChatBody, Depends(body_parser(parse_chat))], server: ServerParts, exchange: Exchange
) -> Response:
    """Answer a conversation with a model or a recipe."""
    card = server.card(body.model, exchange.caller)
    images = await server.images(chat_images(body), exchange.caller) if body.has_images else NO_IMAGES
    options = body.stream_options

    def asked(card: ModelCard) -> Asked:
        info = server.engines[card.id].info
        request = to_request(body, card, info, server.settings, exchange.engine_request_id, exchange.headers, images)
        answer = ChatAnswer(
            AnswerInfo(f"chatcmpl-{exchange.engine_request_id}", int(time.time()), body.model),
            choices=body.n,
            include_usage=options is not None and options.include_usage,
            include_reasoning=body.include_reasoning,
            moa=request.moa,
            continuous_usage=request.running_usage is not None,
        )
        return Asked((request,), answer)

    return GenerationResponse(server, exchange, card, asked)

"""`POST /v1/responses`: OpenAI's Responses API, without a store."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from serving.api.answer import Asked
from serving.api.dependencies import Exchange, ServerParts, body_parser, require_key
from serving.api.dialects.image_parts import responses_images
from serving.api.dialects.namespaces import names
from serving.api.dialects.responses_answers import ResponsesAnswer
from serving.api.dialects.responses_json import head_json
from serving.api.dialects.responses_requests import parse_responses, responses_request
from serving.api.dialects.unsupported_tools import log_omitted
from serving.api.errors import JsonResponse
from serving.api.openapi import OF_ANSWERS, OF_GENERATION, json_body, responses
from serving.api.schemas.responses import ResponsesBody
from serving.api.schemas.responses_answers import ResponseEvent, ResponseRead
from serving.api.streaming import GenerationResponse
from serving.cards import ModelCard

RESPONSES = "/v1/responses"
router = APIRouter(tags=["generation"], dependencies=[Depends(require_key)])


@router.post(
    RESPONSES,
    openapi_extra=json_body(ResponsesBody),
    response_class=JsonResponse,
    responses=responses(
        ResponseRead,
        *OF_GENERATION,
        description='The answer: JSON, or events if the request has `"stream": true`.',
        chunk=ResponseEvent,
        headers=OF_ANSWERS,
        event_name=True,
    ),
)
async def create_response(
    body: Annotated[ResponsesBody, Depends(body_parser(parse_responses))], server: ServerParts, exchange: Exchange
) -> Response:
    """Answer a conversation with a model or a recipe. Nothing is stored."""
    card = server.card(body.model, exchange.caller)
    images = await server.images(responses_images(body), exchange.caller)

    def asked(card: ModelCard) -> Asked:
        info = server.engines[card.id].info
        ids = exchange.engine_request_id, exchange.headers
        request = responses_request(body, card, info, server.settings, *ids, images)
        answer = ResponsesAnswer(
            f"resp_{exchange.engine_request_id}",
            card.id,
            head_json(body, int(time.time())),
            sealed="reasoning.encrypted_content" in body.include,
            trace=request.moa.trace,
            omitted=body.omitted,
            preview=request.moa.preview,
            namespaces=names(body.tools),
        )
        return Asked((request,), answer)

    response = GenerationResponse(server, exchange, card, asked)
    log_omitted(body, exchange.request_id)
    return response

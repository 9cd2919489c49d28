"""`POST /v1/completions`: continuations of prompts, whole and streamed."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from serving.api.answer import Asked
from serving.api.dependencies import Exchange, ServerParts, body_parser, require_key
from serving.api.dialects.chat_answers import AnswerInfo
from serving.api.dialects.completions_answers import CompletionsAnswer
from serving.api.dialects.completions_requests import completions_requests, parse_completions
from serving.api.errors import JsonResponse
from serving.api.openapi import OF_ANSWERS, OF_GENERATION, json_body, responses
from serving.api.schemas.completions import CompletionsBody
from serving.api.schemas.completions_answers import TextCompletion, TextCompletionChunk
from serving.api.streaming import GenerationResponse
from serving.cards import ModelCard

COMPLETIONS = "/v1/completions"
router = APIRouter(tags=["generation"], dependencies=[Depends(require_key)])


@router.post(
    COMPLETIONS,
    openapi_extra=json_body(CompletionsBody),
    response_class=JsonResponse,
    responses=responses(
        TextCompletion,
        *OF_GENERATION,
        description='The answer: JSON, or events if the request has `"stream": true`.',
        chunk=TextCompletionChunk,
        headers=OF_ANSWERS,
    ),
)
async def create_completion(
    body: Annotated[CompletionsBody, Depends(body_parser(parse_completions))], server: ServerParts, exchange: Exchange
) -> Response:
    """Continue one or several prompts with a model, or answer them with a recipe."""
    options = body.stream_options

    def asked(card: ModelCard) -> Asked:
        info = server.engines[card.id].info
        ids = exchange.engine_request_id, exchange.headers
        requests = completions_requests(body, card, info, server.settings, *ids)
        answer = CompletionsAnswer(
            AnswerInfo(f"cmpl-{exchange.engine_request_id}", int(time.time()), body.model),
            choices=body.n * len(requests),
            include_usage=options is not None and options.include_usage,
            trace=requests[0].moa.trace,
            continuous_usage=requests[0].running_usage is not None,
        )
        return Asked(requests, answer)

    return GenerationResponse(server, exchange, server.card(body.model, exchange.caller), asked)

"""`POST /v1/feedback`: a caller's score of an answer that its key got."""

from typing import Annotated

from fastapi import APIRouter, Depends

from serving.api.dependencies import Exchange, ServerParts, body_parser, require_key
from serving.api.dialects.unions import validated
from serving.api.errors import JsonResponse
from serving.api.openapi import json_body, responses
from serving.api.schemas.usage import FeedbackBody, FeedbackRead
from serving.api.schemas.wire import json_object
from serving.api.settings import ApiSettings
from serving.api.store_required import required
from serving.errors import (
    BodyTooLarge,
    InvalidRequest,
    Overloaded,
    SlowBody,
    StoreRequired,
    Unauthorized,
    UnknownAnswer,
    UnsupportedField,
    WrongContentType,
)

FEEDBACK = "/v1/feedback"
router = APIRouter(tags=["usage"], dependencies=[Depends(require_key)])


def parse_feedback(body: bytes, settings: ApiSettings) -> FeedbackBody:
    """Parse and validate the JSON of a request. Raises `InvalidRequest` or `UnsupportedField`."""
    return validated(json_object(body, settings), FeedbackBody)


@router.post(
    FEEDBACK,
    openapi_extra=json_body(FeedbackBody),
    response_class=JsonResponse,
    responses=responses(
        FeedbackRead,
        *(InvalidRequest, UnsupportedField, Unauthorized, UnknownAnswer, SlowBody, BodyTooLarge, WrongContentType),
        *(Overloaded, StoreRequired),
        description="The feedback, which is stored.",
    ),
)
async def create_feedback(
    body: Annotated[FeedbackBody, Depends(body_parser(parse_feedback))], server: ServerParts, exchange: Exchange
) -> JsonResponse:
    """Store a score of an answer, in the place of an earlier one."""
    assert server.store is not None  # the endpoint exists only if there is a store
    records = server.store.requests
    with required("Feedback cannot be stored"):
        answer = await records.answer(body.id, exchange.caller.name)
        if answer is None:
            raise UnknownAnswer(body.id)
        await records.rate(answer, body.score, body.comment)
    server.observer.answer_rated(answer.model, body.score)
    return JsonResponse(
        {
            "object": "feedback",
            "id": answer.id,
            "model": answer.model,
            "score": body.score,
            "comment": body.comment,
        }
    )

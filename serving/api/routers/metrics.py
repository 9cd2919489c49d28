"""`/metrics`, if the setting of that name is on: metrics in Prometheus' text format, without a key."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.api.openapi import responses
from serving.api.schemas.status import Health
from serving.errors import EngineUnavailable

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
router = APIRouter(tags=["status"])
ANSWERS = responses(Health, EngineUnavailable, description="The metrics.")
ANSWERS[200]["content"] = {"text/plain": {"schema": {"type": "string"}}}


@router.get("/metrics", response_class=Response, responses=ANSWERS)
async def metrics(request: Request) -> Response:
    """Metrics of the server and its engines, in Prometheus' text format."""
    return Response(await request.app.state.metrics(), media_type=MEDIA_TYPE)

"""`GET /v1/usage`: tokens and dollars of a key, or of all keys for an administrator."""

import datetime
from typing import Any

from fastapi import APIRouter, Depends, Request

from serving.api.dependencies import Exchange, ServerParts, require_key
from serving.api.errors import JsonResponse
from serving.api.openapi import responses
from serving.api.schemas.usage import UsageBody
from serving.api.store_required import required
from serving.errors import AdminKeyRequired, InvalidRequest, StoreRequired, Unauthorized, UnsupportedField
from serving.store.usage_queries import usage_report
from serving.store.usage_report import DIMENSIONS, PERIODS, Period, parse_day
from serving.validation import abbreviated, shown

USAGE = "/v1/usage"
MAX_VALUE_CHARS = 256
PARAMETERS: dict[str, dict[str, Any]] = {
    "period": {
        "schema": {"enum": [*PERIODS], "default": "day"},
        "description": "A day, a week from Monday, or a month, in UTC.",
    },
    "date": {
        "schema": {"type": "string", "format": "date"},
        "description": "A day in the period, such as 2026-11-30; default: today.",
    },
    "by": {"schema": {"enum": [*DIMENSIONS]}, "description": "Only this table; default: all tables."},
    "key": {
        "schema": {"type": "string", "maxLength": MAX_VALUE_CHARS},
        "description": "Name of a key, for administrators. Default: the caller's own; of an administrator, all.",
    },
}
router = APIRouter(tags=["usage"], dependencies=[Depends(require_key)])


@router.get(
    USAGE,
    openapi_extra={"parameters": [{"name": name, "in": "query", **about} for name, about in PARAMETERS.items()]},
    response_class=JsonResponse,
    responses=responses(
        UsageBody,
        *(InvalidRequest, UnsupportedField, Unauthorized, AdminKeyRequired, StoreRequired),
        description="The usage of the period.",
    ),
)
async def get_usage(request: Request, server: ServerParts, exchange: Exchange) -> JsonResponse:
    """Tokens and dollars of a period by model, role, recipe, key and day, with grades and feedback."""
    given = dict(request.query_params)
    if unknown := [name for name in given if name not in PARAMETERS]:
        known = ", ".join(PARAMETERS)
        raise UnsupportedField(abbreviated(unknown[0]), f"it is no parameter of {USAGE}, which has {known}")
    caller = exchange.caller
    key = given.get("key", None if caller.admin else caller.name)
    if key is not None and len(key) > MAX_VALUE_CHARS:
        raise InvalidRequest(f"Set 'key' to a name of at most {MAX_VALUE_CHARS} characters.", "key")
    if key != caller.name and not caller.admin:
        raise AdminKeyRequired
    period = _period(given)
    by = given.get("by")
    if by is not None and by not in DIMENSIONS:
        raise InvalidRequest(f"Set 'by' to one of {', '.join(DIMENSIONS)}, not {shown(by)}.", "by")
    assert server.store is not None  # the endpoint exists only if there is a store
    tables = [one for one in DIMENSIONS if by in (None, one)]
    budget = server.budget_usd if caller.admin or not server.settings.requires_key else None
    with required("Usage cannot be read"):
        report = await usage_report(server.store.database, period, tables, key, budget)
    return JsonResponse(report.json())


def _period(given: dict[str, str]) -> Period:
    name = given.get("period", "day")
    if name not in PERIODS:
        raise InvalidRequest(f"Set 'period' to one of {', '.join(PERIODS)}, not {shown(name)}.", "period")
    today = datetime.datetime.now(datetime.UTC).date()
    try:
        day = today if "date" not in given else parse_day(given["date"])
        return Period.around(next(one for one in PERIODS if one == name), day)
    except ValueError:
        date = shown(given["date"])
        raise InvalidRequest(f"Set 'date' to a date such as 2026-11-30, not {date}.", "date") from None

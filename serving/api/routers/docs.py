"""`/openapi.json` and `/docs`: the API's description, for programs and for people.

The page is Swagger UI, as users of FastAPI expect it. Its files come from the package fastapi-offline, so that it works
without a connection to the internet and asks no other server for anything.
"""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from serving.api.dependencies import Exchange, ServerParts
from serving.api.errors import JsonResponse

FILES = files("fastapi_offline") / "static"
TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
# Without this, Swagger UI asks a server on the internet to check the description.
PARAMETERS = {"validatorUrl": None, "defaultModelsExpandDepth": 0, "displayRequestDuration": True}
router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def openapi(request: Request, server: ServerParts, exchange: Exchange) -> JsonResponse:
    """The description, as OpenAPI 3.1. Callers without a key get it without ids of models and the server's version."""
    description: dict[str, Any] = (
        request.app.openapi() if await server.shows_details(exchange) else request.app.state.public_openapi()
    )
    root = request.scope.get("root_path", "").rstrip("/")
    return JsonResponse({**description, "servers": [{"url": root}]} if root else description)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The description as a page, from which requests can be sent."""
    root = request.scope.get("root_path", "").rstrip("/")
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="MoA server",
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs/favicon.png",
        swagger_ui_parameters=PARAMETERS,
    )


@router.get("/docs/")
async def without_slash() -> Response:
    """Redirect to the page's own path; relative, so that it holds below a path prefix too."""
    return Response(status_code=308, headers={"location": "../docs"})


def add_file(name: str, media_type: str) -> None:
    """Serve one file of Swagger UI."""

    @router.get(f"/docs/{name}")
    async def file() -> Response:
        return Response((FILES / name).read_bytes(), media_type=media_type, headers={"cache-control": "max-age=86400"})


for name, media_type in TYPES.items():
    add_file(name, media_type)

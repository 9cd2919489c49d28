"""`/console`: a web page that shows the team at work, with its static files. It needs no API key.

Browsers are sent there from `/` and `/console/`. Addresses are relative, so that they hold below a path prefix too.
"""

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.console import StaticFile, files
from serving.errors import UnknownPath

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def root(request: Request) -> Response:
    """Redirect browsers to the console. For programs there is nothing here, which they learn.

    Raises:
        UnknownPath: the request is no GET or HEAD that accepts HTML.
    """
    if request.method != "GET" or "text/html" not in request.headers.get("accept", "").lower():
        raise UnknownPath("/")
    return Response(status_code=307, headers={"location": "console", "vary": "accept"})


@router.get("/console/")
async def without_slash() -> Response:
    """Redirect to the page's own path."""
    return Response(status_code=308, headers={"location": "../console"})


def add_file(path: str, file: StaticFile) -> None:
    """Serve one file of the console, or 304 if the client has it already."""
    headers = {name.decode(): value.decode() for name, value in file.headers}
    etag = file.etag.decode()

    @router.get(path)
    async def static_file(request: Request) -> Response:
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers)


for path, file in files().items():
    add_file(path, file)

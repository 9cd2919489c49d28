"""`/console`: a web page that shows the team at work, with its static files. It needs no API key."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.console import StaticFile, files

router = APIRouter(include_in_schema=False)


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

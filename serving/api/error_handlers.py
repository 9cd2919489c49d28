"""FastAPI's exception handlers: every exception of a request becomes a response in the dialect of its route."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from serving.api.cors import preflight
from serving.api.dependencies import Server
from serving.api.dialects.field_names import renamed
from serving.api.errors import allow, code_of, error_json, error_response, log_failure
from serving.api.exchange import EXCHANGE, Api, ClientGone, HttpExchange
from serving.errors import UnknownPath, WrongMethod

SHOWN_PATH_CHARS = 256


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """Errors of a dialect.

    Attributes:
        names: names of its fields in errors from below the dialects; see `renamed`.
        body: makes the JSON of an error, which may have the request's id, too.
    """

    names: Mapping[str, str]
    body: Callable[[Exception, str], Mapping[str, Any]] = lambda error, _: error_json(error)


class NoResponse(Response):
    """Nothing, for a client that is gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


def add_error_handlers(
    app: Api, server: Server, generating: Container[str], error_forms: Mapping[str, ErrorForm]
) -> None:
    """Let `app` answer every exception.

    Args:
        app: the API.
        server: its parts; refusals are reported to its observer.
        generating: paths whose requests engines answer.
        error_forms: by the beginning of the path; other paths have the errors of chat completions.
    """

    def content(exchange: HttpExchange, error: Exception) -> Mapping[str, Any]:
        for beginning, form in error_forms.items():
            if exchange.path == beginning or exchange.path.startswith(f"{beginning}/"):
                return form.body(renamed(error, form.names) if exchange.parsed else error, exchange.request_id)
        return error_json(error)

    def refused(exchange: HttpExchange, error: Exception) -> Response:
        log_failure(exchange, error)
        if exchange.path in generating and not exchange.engine_asked:
            server.observer.request_refused(code_of(error))
        return error_response(error, content(exchange, error))

    async def any_error(request: Request, error: Exception) -> Response:
        return refused(request.scope[EXCHANGE], error)

    async def http_error(request: Request, error: Exception) -> Response:
        """Answer the router's own 404 and 405, and OPTIONS."""
        assert isinstance(error, HTTPException)
        exchange: HttpExchange = request.scope[EXCHANGE]
        methods = _methods(app, request.scope)
        if exchange.method == "OPTIONS" and methods:
            return Response(None, 204, preflight(exchange.headers, allow(methods)))
        try:
            if exchange.path == "/v1" or exchange.path.startswith("/v1/"):
                await server.authorize(exchange)  # only callers with a key learn which paths exist
        except Exception as unauthorized:
            return refused(exchange, unauthorized)
        path = exchange.path[:SHOWN_PATH_CHARS]
        return refused(exchange, WrongMethod(path, ", ".join(methods)) if methods else UnknownPath(path))

    async def gone(_: Request, __: Exception) -> Response:
        return NoResponse()

    app.add_exception_handler(Exception, any_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientGone, gone)


def _methods(app: Api, scope: Scope) -> list[str]:
    """Methods of the request's path over all routes; empty if there is no such path."""
    methods: dict[str, None] = {}
    for route in app.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            methods |= dict.fromkeys(sorted(route.methods or ()))
    return list(methods)

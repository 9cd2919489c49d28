"""What endpoints ask FastAPI for: the server's parts, the exchange, the check of the API key, and the body."""

import hmac
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from serving.api.admission import Admission, BodyBudget
from serving.api.exchange import EXCHANGE, HttpExchange
from serving.api.settings import ApiSettings
from serving.engine import Engine
from serving.errors import Unauthorized, UnknownModel
from serving.telemetry import Observer
from serving.types import ModelCard

Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Server:
    """What all requests share."""

    engines: Mapping[str, Engine]  # by model id
    cards: Mapping[str, ModelCard]  # by model id
    settings: ApiSettings
    observer: Observer
    admission: Admission
    body_budget: BodyBudget
    keys: tuple[bytes, ...]  # empty: no key is required

    def card(self, model: str) -> ModelCard:
        """Card of a model or recipe. Raises `UnknownModel`."""
        if (card := self.cards.get(model)) is None:
            raise UnknownModel(model[:256], tuple(self.cards))
        return card

    def authorize(self, headers: Mapping[bytes, bytes]) -> None:
        """Check the API key against all keys, each in constant time, so that response times reveal nothing.

        Raises:
            Unauthorized: there is no valid key in `authorization` (as a bearer token) or in `x-api-key`.
        """
        if not self.keys:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = [headers.get(b"x-api-key", b""), token.strip() if scheme.lower() == b"bearer" else b""]
        matches = [hmac.compare_digest(one, key) for one in given for key in self.keys]
        if not any(matches):
            raise Unauthorized


async def get_server(request: Request) -> Server:
    """The server's parts."""
    server: Server = request.app.state.server
    return server


async def get_exchange(request: Request) -> HttpExchange:
    """The exchange of the request."""
    exchange: HttpExchange = request.scope[EXCHANGE]
    return exchange


ServerParts = Annotated[Server, Depends(get_server)]
Exchange = Annotated[HttpExchange, Depends(get_exchange)]


def speaks(error_body: Callable[[Exception], Mapping[str, Any]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Dependency of a router whose dialect has an error object of its own; before `require_key`, which may raise."""

    async def set_error_body(exchange: Exchange) -> None:
        exchange.error_body = error_body

    return set_error_body


async def require_key(server: ServerParts, exchange: Exchange) -> None:
    """Raise `Unauthorized` if the request has no valid key. Comes before the body, which is then not read."""
    server.authorize(exchange.headers)


def body_parser(parse: Callable[[bytes, ApiSettings], Body]) -> Callable[..., Coroutine[Any, Any, Body]]:
    """Dependency that reads the request's body within the server's limits and gives it to `parse`.

    FastAPI's own reading has no limits, and comes before the check of the key.
    """

    async def read(server: ServerParts, exchange: Exchange) -> Body:
        settings = server.settings
        server.admission.check()
        with server.body_budget.body() as add_bytes:
            raw = await exchange.body(settings.max_body_bytes, settings.body_timeout_s, add_bytes)
            return parse(raw, settings)

    return read

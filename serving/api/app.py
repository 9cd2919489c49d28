"""The ASGI application: routes, API keys, and responses for errors."""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from serving.api.chat import ChatCompletions
from serving.api.console import console
from serving.api.errors import code_of, log_failure, respond_error
from serving.api.exchange import ClientGone, HttpExchange
from serving.api.settings import ApiSettings
from serving.api.status import Models, Ready, Version, health
from serving.console import files
from serving.engine import Engine
from serving.errors import ConfigError, Unauthorized, UnknownPath, WrongMethod
from serving.telemetry import Observer
from serving.types import ModelCard

Endpoint = Callable[[HttpExchange], Awaitable[None]]
CHAT = "/v1/chat/completions"


class App:
    """Plain ASGI without middleware, each layer of which would cost time with every token."""

    def __init__(
        self, engines: Mapping[str, Engine], cards: Mapping[str, ModelCard], settings: ApiSettings, observer: Observer
    ) -> None:
        """Serve `engines`, described by `cards`, both by model id; refused chat requests go to `observer`."""
        self.chat = ChatCompletions(engines, cards, settings)
        self.models = Models(cards)
        self.routes: dict[str, tuple[str, Endpoint]] = {
            "/health": ("GET", health),
            "/ready": ("GET", Ready(engines, settings)),
            "/version": ("GET", Version(settings)),
            "/v1/models": ("GET", self.models.all),
            CHAT: ("POST", self.chat),
            **dict.fromkeys(files(), ("GET", console)),
        }
        self._observer = observer
        self._keys = settings.keys()
        self._echo_request_id = settings.echo_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._answer(HttpExchange(scope, receive, send, self._echo_request_id))
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, exchange: HttpExchange) -> None:
        try:
            if exchange.path == "/v1" or exchange.path.startswith("/v1/"):
                self._authorize(exchange)
            endpoint = self._endpoint(exchange)
            await endpoint(exchange)
        except ClientGone:
            return
        except Exception as error:
            log_failure(exchange, error)
            if exchange.path == CHAT and not exchange.engine_asked:
                self._observer.request_refused(code_of(error))
            if exchange.started:
                raise  # the HTTP server then closes the connection, which shows that the answer is incomplete
            await respond_error(exchange, error)

    def _endpoint(self, exchange: HttpExchange) -> Endpoint:
        if exchange.path in self.routes:
            method, endpoint = self.routes[exchange.path]
        elif exchange.path.startswith(Models.PREFIX) and exchange.path != Models.PREFIX:
            method, endpoint = "GET", self.models.one
        else:
            raise UnknownPath(exchange.path[:256])
        if exchange.method != method and not (exchange.method == "HEAD" and method == "GET"):
            raise WrongMethod(exchange.path[:256], method)
        return endpoint

    def _authorize(self, exchange: HttpExchange) -> None:
        """Check the API key against all keys, each in constant time, so that response times reveal nothing."""
        if not self._keys:
            return
        scheme, _, given = exchange.headers.get(b"authorization", b"").partition(b" ")
        matches = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        if scheme.lower() != b"bearer" or not any(matches):
            raise Unauthorized


async def _lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge start and shutdown. Neither does anything: the engines belong to the caller of `create_app`."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_app(
    engines: Mapping[str, Engine], cards: Sequence[ModelCard], settings: ApiSettings, observer: Observer | None = None
) -> App:
    """Create the API.

    Args:
        engines: the engines by model id.
        cards: one model card per engine.
        settings: limits, keys and deadlines.
        observer: receives the chat requests that are refused before an engine is asked; all others are reported by the
            engines.

    Raises:
        ConfigError: an engine has no card, or a card has no engine.
    """
    by_id = {card.id: card for card in cards}
    if unmatched := sorted(set(by_id) ^ set(engines)):
        raise ConfigError(f"Give '{unmatched[0]}' both an engine and a model card; it has only one of them.")
    return App(engines, by_id, settings, observer or Observer())

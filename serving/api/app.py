"""The ASGI application: which path is answered by what, keys, and errors that nobody else has answered."""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from serving.api.chat import ChatCompletions
from serving.api.errors import code_of, log_failure, respond_error
from serving.api.exchange import ClientGone, HttpExchange
from serving.api.settings import ApiSettings
from serving.api.status import Models, Ready, Version, health
from serving.engine import Engine
from serving.errors import ConfigError, Unauthorized, UnknownPath, WrongMethod
from serving.telemetry import Observer
from serving.types import ModelCard

Endpoint = Callable[[HttpExchange], Awaitable[None]]
CHAT = "/v1/chat/completions"


class App:
    """Plain ASGI, without middleware: each layer of it would be paid again with every token."""

    def __init__(
        self, engines: Mapping[str, Engine], cards: Mapping[str, ModelCard], settings: ApiSettings, observer: Observer
    ) -> None:
        self.chat = ChatCompletions(engines, cards, settings)
        self.models = Models(cards)
        self.routes: dict[str, tuple[str, Endpoint]] = {
            "/health": ("GET", health),
            "/ready": ("GET", Ready(engines, settings)),
            "/version": ("GET", Version(settings)),
            "/v1/models": ("GET", self.models.every),
            CHAT: ("POST", self.chat),
        }
        self._observer = observer
        self._keys = settings.keys()
        self._echo_request_id = settings.echo_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._answer(HttpExchange(scope, receive, send, self._echo_request_id))
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, call: HttpExchange) -> None:
        try:
            if call.path == "/v1" or call.path.startswith("/v1/"):
                self._authorize(call)
            endpoint = self._endpoint(call)
            await endpoint(call)
        except ClientGone:
            return
        except Exception as error:
            log_failure(call, error)
            if call.path == CHAT and not call.engine_asked:
                self._observer.request_refused(code_of(error))
            if call.started:
                raise  # the server below closes the connection, so that the caller sees a broken answer as broken
            await respond_error(call, error)

    def _endpoint(self, call: HttpExchange) -> Endpoint:
        if call.path in self.routes:
            method, endpoint = self.routes[call.path]
        elif call.path.startswith(Models.PREFIX):
            method, endpoint = "GET", self.models.one
        else:
            raise UnknownPath(call.path[:256])
        if call.method != method and not (call.method == "HEAD" and method == "GET"):
            raise WrongMethod(call.path[:256], method)
        return endpoint

    def _authorize(self, call: HttpExchange) -> None:
        """Compare with every key, each in constant time, so that the time tells nothing of any."""
        if not self._keys:
            return
        scheme, _, given = call.headers.get(b"authorization", b"").partition(b" ")
        matches = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        if scheme.lower() != b"bearer" or not any(matches):
            raise Unauthorized


async def _live(receive: Receive, send: Send) -> None:
    """There is nothing to start or stop: engines belong to whoever made them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_app(
    engines: Mapping[str, Engine], cards: Sequence[ModelCard], settings: ApiSettings, observer: Observer | None = None
) -> App:
    """The API over `engines`, each under its model id.

    `observer` is told of the chat requests that no engine hears of. The others are the engines' to tell.

    Raises:
        ConfigError: an engine has no card, or a card no engine.
    """
    by_id = {card.id: card for card in cards}
    if lonely := sorted(set(by_id) ^ set(engines)):
        raise ConfigError(f"Give '{lonely[0]}' both an engine and a model card; it has only one of them.")
    return App(engines, by_id, settings, observer or Observer())

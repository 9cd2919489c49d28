"""Dependencies of endpoints: the server's parts, the exchange, the check of the API key, and the body."""

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from serving.api.admission import Admission, BodyBudget, ParsingTurns
from serving.api.credentials import given_key
from serving.api.exchange import EXCHANGE, HttpExchange
from serving.api.image_fetcher import ImageFetcher
from serving.api.image_reader import Images, ImageSource, read_images
from serving.api.keys import Caller, KeyRing
from serving.api.settings import ApiSettings
from serving.batches.service import Batches
from serving.cards import ModelCard, Task
from serving.engine import Engine
from serving.errors import InvalidRequest, Unauthorized, UnknownModel
from serving.json_structure import upper_bound
from serving.pooling import PoolingEngine
from serving.store.store import Store
from serving.telemetry import Observer

Body = TypeVar("Body")
# Of a body that is parsed in a thread: beyond either, parsing takes more than some milliseconds.
LARGE_BYTES = 2**18
LARGE_VALUES = 2**13
GENERATING: tuple[Task, ...] = ("generate",)
TASKS: Mapping[Task, str] = {"generate": "generates text", "embed": "computes embeddings", "rerank": "ranks documents"}


@dataclass(frozen=True, slots=True)
class Server:
    """Parts of the server that all requests share."""

    engines: Mapping[str, Engine]  # by model id; those of other tasks than generating are in `pooling`
    cards: Mapping[str, ModelCard]  # by model id
    settings: ApiSettings
    observer: Observer
    admission: Admission
    body_budget: BodyBudget
    keys: KeyRing
    fetcher: ImageFetcher
    pooling: Mapping[str, PoolingEngine] = field(default_factory=dict)  # by model id
    parsing: ParsingTurns = field(default_factory=ParsingTurns)
    store: Store | None = None  # None: nothing outlives a request
    batches: Batches | None = None

    async def images(self, sources: Iterable[ImageSource], caller: Caller) -> Images:
        """Images of a request by the paths of their parts; what is fetched counts as a body that is being read.

        Raises:
            InvalidRequest: there are too many, or one cannot be fetched or used.
            Overloaded: too much is being read already.
        """
        with self.body_budget.body(caller) as add_bytes:
            return await read_images(sources, self.settings.images, self.fetcher, add_bytes)

    def any_card(self, model: str) -> ModelCard:
        """Card of the model or recipe that has this id or alias, whatever it does. Raises `UnknownModel`."""
        aliases = self.settings.aliases
        if (card := self.cards.get(aliases.get(model, model))) is None:
            raise UnknownModel(model[:256], (*self.cards, *aliases))
        return card

    def card(self, model: str, tasks: Collection[Task] = GENERATING) -> ModelCard:
        """Card of a model or recipe, by id or alias, whose task is one of `tasks`.

        Raises:
            UnknownModel: there is no such model.
            InvalidRequest: the model does something else.
        """
        card = self.any_card(model)
        if card.task not in tasks:
            fitting = [one.id for one in self.cards.values() if one.task in tasks]
            wanted = " or ".join(TASKS[task] for task in tasks)
            raise InvalidRequest(
                f"Set 'model' to one that {wanted} ({', '.join(fitting) or 'none here'}): '{card.id}'"
                f" {TASKS[card.task]}.",
                "model",
            )
        return card

    def authorize(self, exchange: HttpExchange) -> Caller:
        """The caller whose API key the request has. Raises `Unauthorized` if there is no valid one; see `given_key`."""
        if exchange.trusted:
            return exchange.caller
        return self.keys.anyone if not self.keys.callers else self.keys.caller(given_key(exchange.all_headers))

    def shows_details(self, exchange: HttpExchange) -> bool:
        """True if the caller may read details of the server outside of /v1: it has a key, or everybody may."""
        if self.settings.public_status:
            return True
        try:
            self.authorize(exchange)
        except Unauthorized:
            return False  # probes are answered whatever their headers are
        return True


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


async def require_key(server: ServerParts, exchange: Exchange) -> None:
    """Find out who calls. Comes before the body, which is not read if there is no valid key (`Unauthorized`)."""
    exchange.caller = server.authorize(exchange)


def body_parser(parse: Callable[[bytes, ApiSettings], Body]) -> Callable[..., Coroutine[Any, Any, Body]]:
    """Dependency that reads the request's body within the server's limits and gives it to `parse`.

    FastAPI's own reading has no limits, and comes before the check of the key.
    """

    async def read(server: ServerParts, exchange: Exchange) -> Body:
        settings = server.settings
        server.admission.check(exchange.caller)
        with server.body_budget.body(exchange.caller) as add_bytes:
            raw = await exchange.body(settings.max_body_bytes, settings.body_timeout_s, add_bytes)
            # A byte is one value at most.
            if len(raw) < LARGE_VALUES or (len(raw) < LARGE_BYTES and upper_bound(raw) < LARGE_VALUES):
                body = parse(raw, settings)
            else:
                body = await server.parsing.parsed(exchange.caller, parse, raw, settings)
            exchange.parsed = True
            return body

    return read

"""Dependencies of endpoints: the server's parts, the exchange, the check of the API key, and the body.

The limits that a request must pass are here, too: on requests in progress and on request bodies being read.
"""

from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from serving.api.credentials import given_key, is_accepted
from serving.api.exchange import EXCHANGE, HttpExchange
from serving.api.image_fetcher import ImageFetcher
from serving.api.image_reader import Images, ImageSource, read_images
from serving.api.settings import ApiSettings
from serving.cards import ModelCard, Task
from serving.engine import Engine
from serving.errors import InvalidRequest, Overloaded, Unauthorized, UnknownModel
from serving.pooling import PoolingEngine
from serving.telemetry import Observer

Body = TypeVar("Body")
IN_FLIGHT = 256  # limit if the capacity of the engines is unknown
GENERATING: tuple[Task, ...] = ("generate",)
TASKS: Mapping[Task, str] = {"generate": "generates text", "embed": "computes embeddings", "rerank": "ranks documents"}


class Admission:
    """Limit on the requests in progress. There is no queue: a caller refused at once can try another server."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        """Admit `limit` requests at a time; refusals tell the caller to wait `retry_after_s`."""
        self.limit, self.retry_after_s = limit, retry_after_s
        self.in_flight = 0

    def check(self) -> None:
        """Raise `Overloaded` if the limit is reached: cheaper than reading the body first."""
        if self.in_flight >= self.limit:
            raise Overloaded(
                f"The server is answering {self.in_flight} requests, its limit; try again later.",
                self.retry_after_s,
            )

    @contextmanager
    def permit(self, count: int = 1) -> Iterator[None]:
        """Count requests in progress while the block runs. Raises `Overloaded` if the limit is reached.

        `count`: prompts of one request. Together they may exceed the limit: a request of many could never begin else.
        """
        self.check()
        self.in_flight += count
        try:
            yield
        finally:
            self.in_flight -= count


class BodyBudget:
    """Limit on the bytes of request bodies being read, over all connections; admission comes only after parsing."""

    def __init__(self, limit_bytes: int, retry_after_s: float) -> None:
        """Hold at most `limit_bytes` at a time; refusals tell the caller to wait `retry_after_s`."""
        self.limit_bytes, self.retry_after_s = limit_bytes, retry_after_s
        self.held_bytes = 0

    @contextmanager
    def body(self) -> Iterator[Callable[[int], None]]:
        """Count one body while the block runs.

        Yields:
            A function to call with the size of each piece that arrives; it raises `Overloaded` beyond the limit.
        """
        own_bytes = 0

        def add(size_bytes: int) -> None:
            nonlocal own_bytes
            own_bytes += size_bytes
            self.held_bytes += size_bytes
            if self.held_bytes > self.limit_bytes:
                raise Overloaded("The server is reading too many request bodies; try again later.", self.retry_after_s)

        try:
            yield add
        finally:
            self.held_bytes -= own_bytes


@dataclass(frozen=True, slots=True)
class Server:
    """Parts of the server that all requests share."""

    engines: Mapping[str, Engine]  # by model id; those of other tasks than generating are in `pooling`
    cards: Mapping[str, ModelCard]  # by model id
    settings: ApiSettings
    observer: Observer
    admission: Admission
    body_budget: BodyBudget
    keys: tuple[bytes, ...]  # empty: no key is required
    fetcher: ImageFetcher
    pooling: Mapping[str, PoolingEngine] = field(default_factory=dict)  # by model id

    async def images(self, sources: Iterable[ImageSource]) -> Images:
        """Images of a request by the paths of their parts; what is fetched counts as a body that is being read.

        Raises:
            InvalidRequest: there are too many, or one cannot be fetched or used.
            Overloaded: too much is being read already.
        """
        with self.body_budget.body() as add_bytes:
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

    def authorize(self, exchange: HttpExchange) -> None:
        """Check the API key of a request. Raises `Unauthorized` if there is no valid key; see `given_key`."""
        if not self.knows(exchange):
            raise Unauthorized

    def knows(self, exchange: HttpExchange) -> bool:
        """True if the request has a valid key, or none is required. Raises `Unauthorized` as `given_key`."""
        return not self.keys or is_accepted(given_key(exchange.all_headers), self.keys)

    def tells(self, exchange: HttpExchange) -> bool:
        """True if the caller may read details of the server outside of /v1: it has a key, or everybody may."""
        if self.settings.public_status:
            return True
        try:
            return self.knows(exchange)
        except Unauthorized:
            return False  # probes are answered whatever their headers are


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
    """Raise `Unauthorized` if the request has no valid key. Comes before the body, which is then not read."""
    server.authorize(exchange)


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

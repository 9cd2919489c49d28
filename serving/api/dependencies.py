"""Dependencies of endpoints: the server's parts, the exchange, the check of the API key, and the body."""

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from serving.api.admission import Admission, BodyBudget, ParsingTurns
from serving.api.credentials import given_key
from serving.api.estimates import ONE_CALL, estimate_of
from serving.api.exchange import EXCHANGE, HttpExchange
from serving.api.image_fetcher import ImageFetcher
from serving.api.image_reader import Images, ImageSource, read_images
from serving.api.keys import Caller, KeyRing
from serving.api.limit_headers import RateStatus, limit_headers
from serving.api.limit_settings import UseRecipe
from serving.api.limiter import Limiter
from serving.api.recorder import Recorder
from serving.api.reservation import UNLIMITED, Reservation, Unlimited
from serving.api.settings import ApiSettings
from serving.api.stored_keys import StoredKeys
from serving.batches.service import Batches
from serving.cache.response_cache import ResponseCache
from serving.cards import ModelCard, Task
from serving.engine import Engine
from serving.errors import (
    BudgetExceeded,
    InvalidRequest,
    MoaError,
    RateLimitExceeded,
    StoreRequired,
    Unauthorized,
    UnknownModel,
)
from serving.json_structure import upper_bound
from serving.pooling import EmbedRequest, PoolingEngine, RerankRequest
from serving.store.store import Store
from serving.telemetry import Observer
from serving.types import GenerateRequest

Body = TypeVar("Body")
AnyRequest = GenerateRequest | EmbedRequest | RerankRequest
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
    stored_keys: StoredKeys | None = None  # None: keys of the store are not accepted
    limiter: Limiter = field(kw_only=True)
    cache: ResponseCache | None = None  # None: answers are not kept
    recorder: Recorder = field(default_factory=lambda: Recorder({}, Observer()))
    batches: Batches | None = None
    budget_usd: float | None = None  # of all keys, a month; reports show it

    async def images(self, sources: Iterable[ImageSource], caller: Caller) -> Images:
        """Images of a request by the paths of their parts; what is fetched counts as a body that is being read.

        Raises:
            InvalidRequest: there are too many, or one cannot be fetched or used.
            Overloaded: too much is being read already.
        """
        with self.body_budget.body(caller) as add_bytes:
            return await read_images(sources, self.settings.images, self.fetcher, add_bytes)

    def names(self, caller: Caller) -> tuple[str, ...]:
        """Ids and aliases of the models and recipes that exist for a caller."""
        return tuple(name for name in (*self.cards, *self.settings.aliases) if self.exists(name, caller))

    def exists(self, name: str, caller: Caller) -> bool:
        """True if the model or recipe with this id or alias is one that the caller may use."""
        return caller.models is None or not caller.models.isdisjoint((name, self.settings.aliases.get(name, name)))

    def any_card(self, model: str, caller: Caller) -> ModelCard:
        """Card of the model or recipe that has this id or alias, whatever it does. Raises `UnknownModel`."""
        card = self.cards.get(self.settings.aliases.get(model, model))
        if card is None or not self.exists(model, caller):
            raise UnknownModel(model[:256], self.names(caller))
        return card

    def over_budget_card(self, caller: Caller) -> ModelCard | None:
        """Card of the model or recipe that answers beyond the caller's budget; None: such requests are refused."""
        instead = caller.limits.over_budget
        if not isinstance(instead, UseRecipe):
            return None
        card = self.cards.get(self.settings.aliases.get(instead.use, instead.use))
        return card if card is not None and card.task in GENERATING else None

    def card(self, model: str, caller: Caller, tasks: Collection[Task] = GENERATING) -> ModelCard:
        """Card of a model or recipe, by id or alias, whose task is one of `tasks`.

        Raises:
            UnknownModel: there is no such model.
            InvalidRequest: the model does something else.
        """
        card = self.any_card(model, caller)
        if card.task not in tasks:
            fitting = [one.id for one in self.cards.values() if one.task in tasks and self.exists(one.id, caller)]
            wanted = " or ".join(TASKS[task] for task in tasks)
            raise InvalidRequest(
                f"Set 'model' to one that {wanted} ({', '.join(fitting) or 'none here'}): '{card.id}'"
                f" {TASKS[card.task]}.",
                "model",
            )
        return card

    async def authorize(self, exchange: HttpExchange) -> Caller:
        """The caller whose API key the request has.

        Raises:
            Unauthorized: there is no valid key; see `given_key`.
            StoreRequired: the key is not known, and the store cannot be asked.
        """
        if exchange.trusted:
            return exchange.caller
        if not self.keys.required:
            return self.keys.anyone
        given = given_key(exchange.all_headers)
        try:
            return self.keys.caller(given)
        except Unauthorized:
            if self.stored_keys is None:
                raise
        return await self.stored_keys.caller(given)

    async def reserve(
        self,
        exchange: HttpExchange,
        card: ModelCard,
        requests: Sequence[AnyRequest],
        *,
        within_budgets: bool = True,
    ) -> Reservation | Unlimited:
        """Reserve room in the caller's limits for `requests`, and tell it their state. See `Limiter.reserve`.

        A refusal is reported, except one after which another recipe can answer: see `over_budget_card`.
        """
        caller, model, work = exchange.caller, card.id, ONE_CALL
        if not caller.limits.limited:
            return UNLIMITED

        def tell(statuses: list[RateStatus]) -> None:
            exchange.limit_headers = limit_headers(exchange.path, statuses, self.limiter.clock())

        first = requests[0]
        if isinstance(first, GenerateRequest):
            model = first.moa.recipe or model
            with suppress(MoaError):  # the engine refuses the request itself
                work = self.engines[card.id].work(first)
        estimates = [estimate_of(one, work) for one in requests]
        try:
            return await self.limiter.reserve(caller, model, estimates, tell, within_budgets=within_budgets)
        except (RateLimitExceeded, BudgetExceeded) as error:
            over_budget = isinstance(error, BudgetExceeded) and isinstance(first, GenerateRequest)
            if not over_budget or self.over_budget_card(caller) is None:
                self.observer.caller_refused(caller.name, caller.priority_class)
            raise

    async def shows_details(self, exchange: HttpExchange) -> bool:
        """True if the caller may read details of the server outside of /v1: it has a key, or everybody may."""
        if self.settings.public_status:
            return True
        try:
            caller = await self.authorize(exchange)
        except (Unauthorized, StoreRequired):
            return False  # probes are answered whatever their headers are
        return caller.models is None  # to others, some models do not exist


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
    exchange.caller = await server.authorize(exchange)


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

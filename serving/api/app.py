"""The application: FastAPI with the routers of all endpoint families."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from serving.api import request_log
from serving.api.admission import IN_FLIGHT, Admission, BodyBudget
from serving.api.aliases import check_aliases
from serving.api.answer_cache import response_cache
from serving.api.batch_lines import BatchTasks
from serving.api.cors import Cors
from serving.api.dependencies import Server
from serving.api.dialects.field_names import OF_MESSAGES, OF_RESPONSES
from serving.api.dialects.messages_errors import messages_error
from serving.api.error_handlers import ErrorForm, add_error_handlers
from serving.api.exchange import Api
from serving.api.image_fetcher import ImageFetcher
from serving.api.key_checks import check_keys
from serving.api.keys import key_ring
from serving.api.limiter import Limiter
from serving.api.openapi import document
from serving.api.recorder import AnswerSampler, Recorder
from serving.api.routers import (
    admin,
    chat,
    completions,
    console,
    docs,
    embeddings,
    feedback,
    messages,
    models,
    rerank,
    responses,
    status,
    tokens,
    usage,
)
from serving.api.routers import batches as batches_router
from serving.api.routers import files as files_router
from serving.api.routers.metrics import router as metrics_router
from serving.api.settings import ApiSettings
from serving.api.stored_keys import StoredKeys
from serving.batches.service import Batches
from serving.cards import ModelCard
from serving.engine import Engine
from serving.errors import ConfigError
from serving.log_format import set_log_format
from serving.pooling import PoolingEngine
from serving.store.key_store import KeyStore
from serving.store.store import Store
from serving.telemetry import Observer
from serving.tracing.spans import Tracer

# Of the requests that engines answer.
DIALECTS: tuple[APIRouter, ...] = (chat.router, responses.router, messages.router, completions.router)
POOLING: tuple[APIRouter, ...] = (embeddings.router, rerank.router)  # whose requests pooling engines answer
OTHERS: tuple[APIRouter, ...] = (models.router, status.router, docs.router, console.router, tokens.router, admin.router)
OF_RECORDS: tuple[APIRouter, ...] = (usage.router, feedback.router)  # of a server with a store
# Paths, with those below them, whose errors have a shape or names of fields of their own.
ERROR_FORMS: Mapping[str, ErrorForm] = {
    messages.MESSAGES: ErrorForm(OF_MESSAGES, messages_error),
    responses.RESPONSES: ErrorForm(OF_RESPONSES),
}


def create_app(
    engines: Mapping[str, Engine],
    cards: Sequence[ModelCard],
    settings: ApiSettings,
    observer: Observer | None = None,
    pooling: Mapping[str, PoolingEngine] | None = None,
    *,
    metrics: Callable[[], Awaitable[bytes]] | None = None,
    store: Store | None = None,
    tracer: Tracer | None = None,
    quality: AnswerSampler | None = None,
    budget_usd: float | None = None,
    batches: Batches | None = None,
) -> Api:
    """Create the API.

    Args:
        engines: the engines by model id.
        cards: one model card per engine, those of `pooling` included.
        settings: limits, keys and deadlines.
        observer: receives the requests for answers that are refused before an engine is asked; all others are reported
            by the engines.
        pooling: the engines that embed or rank, by model id; their cards say the same task.
        metrics: makes the page of `/metrics`.
        store: state that outlives a request; the app starts and closes it. None: nothing is kept.
        tracer: starts the spans of requests, below which those of `engines` are; None: nothing is traced.
        quality: grades a share of the answers; the app starts and closes it.
        budget_usd: of all keys, a month; reports show it.
        batches: files and batches in `store`; the app starts and stops what works on them. None: there are none.

    Raises:
        ConfigError: two keys contradict each other (`key_ring`) or name what is not served (`check_keys`), an engine
            has no card, a card has no engine or says another task, an alias cannot be used (`check_aliases`), or the
            setting `metrics` is on and there is no source of metrics.
    """
    by_id = {card.id: card for card in cards}
    pooling = pooling or {}
    tasks = {**dict.fromkeys(engines, "generate"), **{name: engine.info.task for name, engine in pooling.items()}}
    if unmatched := sorted(set(by_id) ^ set(tasks)):
        raise ConfigError(f"Give '{unmatched[0]}' both an engine and a model card; it has only one of them.")
    if wrong := [card for card in cards if card.task != tasks[card.id]]:
        raise ConfigError(f"Set the task of the model card '{wrong[0].id}' to '{tasks[wrong[0].id]}'.")
    check_aliases(settings.aliases, by_id)
    keys = key_ring(settings)
    check_keys(settings, by_id, has_store=store is not None)
    server = Server(
        engines,
        by_id,
        settings,
        observer or Observer(),
        Admission(settings.max_in_flight or IN_FLIGHT, settings.retry_after_s, observer),
        BodyBudget(settings.max_reading_bytes, settings.retry_after_s),
        keys,
        ImageFetcher(settings.images),
        pooling,
        store=store,
        stored_keys=StoredKeys(KeyStore(store.database), keys, settings) if store and keys.required else None,
        limiter=Limiter(settings, by_id, store, observer or Observer()),
        cache=response_cache(engines, settings.cache, store, observer),
        recorder=Recorder(by_id, observer or Observer(), None if store is None else store.requests, quality),
        budget_usd=budget_usd,
        batches=batches,
    )
    app = Api(
        settings.echo_request_id, Cors(settings.cors_origins) if settings.cors_origins else None, lifespan, tracer
    )
    app.state.server = server
    app.state.readiness = status.Readiness({**engines, **pooling}, settings)
    for router in (*DIALECTS, *POOLING, *OTHERS, *(OF_RECORDS if store is not None else ())):
        app.include_router(router)
    if settings.metrics:
        if metrics is None:
            raise ConfigError("Set api.metrics to false: this server does not run on Ray, which exports the metrics.")
        app.state.metrics = metrics
        app.include_router(metrics_router)
    answered = (*DIALECTS, *POOLING)
    generating = {route.path for router in answered for route in router.routes if isinstance(route, APIRoute)}
    add_error_handlers(app, server, generating, ERROR_FORMS)
    if batches is not None:
        app.include_router(files_router.router)
        app.include_router(batches_router.router)
        app.state.batches = BatchTasks(server, batches, answered, ERROR_FORMS, batches_router.ENDPOINTS)
    app.openapi = cache(  # type: ignore[method-assign]  # as FastAPI documents it
        lambda: document(app.routes, status.own_version(), cards, settings)
    )
    app.state.public_openapi = cache(lambda: document(app.routes, "unknown", (), settings))
    if settings.log_format == "json":
        set_log_format("json")
    if settings.log_requests:
        request_log.enable()
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The time that the server runs. At its end a check of the engines that still runs is cancelled.

    Parts are closed in the reverse order, also if a later one cannot be started or closed. The engines belong to the
    caller of `create_app`.
    """
    server: Server = app.state.server
    batches: BatchTasks | None = getattr(app.state, "batches", None)
    async with AsyncExitStack() as closing:
        if server.store is not None:
            closing.push_async_callback(server.store.close)
            await server.store.start()
        if server.stored_keys is not None:
            closing.push_async_callback(server.stored_keys.close)
            await server.stored_keys.start()
        closing.push_async_callback(server.limiter.close)
        if server.cache is not None:
            closing.push_async_callback(server.cache.close)
        if (quality := server.recorder.sampler) is not None:
            closing.push_async_callback(quality.close)
            quality.start()
        if batches is not None:
            closing.push_async_callback(batches.stop)
            batches.start()
        closing.callback(app.state.readiness.cancel)
        yield

"""The application: FastAPI with the routers of all endpoint families."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from serving.api import request_log
from serving.api.cors import Cors
from serving.api.dependencies import IN_FLIGHT, Admission, BodyBudget, Server
from serving.api.error_handlers import add_error_handlers
from serving.api.exchange import Api
from serving.api.image_fetcher import ImageFetcher
from serving.api.openapi import document
from serving.api.routers import chat, console, docs, messages, models, responses, status
from serving.api.settings import ApiSettings
from serving.engine import Engine
from serving.errors import ConfigError
from serving.telemetry import Observer
from serving.types import ModelCard

DIALECTS: tuple[APIRouter, ...] = (chat.router, responses.router, messages.router)  # whose requests engines answer
OTHERS: tuple[APIRouter, ...] = (models.router, status.router, docs.router, console.router)


def create_app(
    engines: Mapping[str, Engine], cards: Sequence[ModelCard], settings: ApiSettings, observer: Observer | None = None
) -> Api:
    """Create the API.

    Args:
        engines: the engines by model id.
        cards: one model card per engine.
        settings: limits, keys and deadlines.
        observer: receives the requests for answers that are refused before an engine is asked; all others are reported
            by the engines.

    Raises:
        ConfigError: an engine has no card, or a card has no engine.
    """
    by_id = {card.id: card for card in cards}
    if unmatched := sorted(set(by_id) ^ set(engines)):
        raise ConfigError(f"Give '{unmatched[0]}' both an engine and a model card; it has only one of them.")
    server = Server(
        engines,
        by_id,
        settings,
        observer or Observer(),
        Admission(settings.max_in_flight or IN_FLIGHT, settings.retry_after_s),
        BodyBudget(settings.max_reading_bytes, settings.retry_after_s),
        settings.keys(),
        ImageFetcher(settings.images),
    )
    app = Api(settings.echo_request_id, Cors(settings.cors_origins) if settings.cors_origins else None, lifespan)
    app.state.server = server
    app.state.readiness = status.Readiness(engines, settings)
    for router in (*DIALECTS, *OTHERS):
        app.include_router(router)
    generating = {route.path for router in DIALECTS for route in router.routes if isinstance(route, APIRoute)}
    add_error_handlers(app, server, generating)
    app.openapi = cache(  # type: ignore[method-assign]  # as FastAPI documents it
        lambda: document(app.routes, status.own_version(), list(by_id), settings)
    )
    if settings.log_requests:
        request_log.enable()
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The time that the server runs. At its end a check of the engines that still runs is cancelled.

    The engines belong to the caller of `create_app`.
    """
    try:
        yield
    finally:
        app.state.readiness.cancel()

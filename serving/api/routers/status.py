"""Status endpoints: `/health`, `/ready` and `/version`. Probes need no API key; details do, see `public_status`."""

import asyncio
import logging
import platform
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request

from serving.api.dependencies import Exchange, ServerParts
from serving.api.errors import JsonResponse, error_json, error_response
from serving.api.openapi import responses, schema_of
from serving.api.schemas.status import Health, NotReadyBody, ReadyBody, Versions
from serving.api.settings import ApiSettings
from serving.engine import Engine
from serving.errors import EngineUnavailable, MoaError, Unauthorized
from serving.failures import log_exception
from serving.pooling import PoolingEngine

logger = logging.getLogger("serving.api")
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
router = APIRouter(tags=["status"])
READY = responses(ReadyBody, EngineUnavailable, description="Every engine is warm and answers.")
READY[503]["content"]["application/json"]["schema"] = schema_of(NotReadyBody)


@router.get("/health", response_class=JsonResponse, responses=responses(Health, description="The process runs."))
async def health() -> JsonResponse:
    """Answer while the process runs; the engines are not checked."""
    return JsonResponse({"status": "ok"})


@router.get("/ready", response_class=JsonResponse, responses=READY)
async def ready(request: Request, server: ServerParts, exchange: Exchange) -> JsonResponse:
    """Check that every engine is warm and answers. Callers without a key learn no more than that."""
    detailed = await server.shows_details(exchange)
    readiness: Readiness = request.app.state.readiness
    failing = await readiness.failing()
    if not failing:
        details = {"engines": sorted(readiness.engines)} if detailed else {}
        store = {"store": dict(server.store.available)} if detailed and server.store else {}
        return JsonResponse({"status": "ready", **details, **store})
    error = EngineUnavailable("server", "not all models are ready")
    if not detailed:
        return error_response(error)
    content = error_json(error)
    content["error"]["message"] = " ".join(failing.values())  # sentences, each with the name of its model
    return error_response(error, {**content, "failing": failing})


@router.get(
    "/version", response_class=JsonResponse, responses=responses(Versions, Unauthorized, description="The versions.")
)
async def version(server: ServerParts, exchange: Exchange) -> JsonResponse:
    """Versions of the server, of Python and of the libraries that the settings name."""
    if not server.settings.public_status:
        await server.authorize(exchange)
    return JsonResponse({"version": own_version(), "python": platform.python_version(), **server.settings.versions})


class Readiness:
    """Checks of all engines, concurrently.

    Callers share a check that is running, and its result for `health_cache_s`.
    """

    def __init__(self, engines: Mapping[str, Engine | PoolingEngine], settings: ApiSettings) -> None:
        """Check `engines`, given by model id."""
        self.engines, self.settings = engines, settings
        self._checking: asyncio.Task[dict[str, str]] | None = None
        self._checked_at = -float("inf")

    async def failing(self) -> dict[str, str]:
        """Reason for each engine that is not ready, by model id."""
        now = asyncio.get_running_loop().time()
        if self._checking is None or (self._checking.done() and now - self._checked_at >= self.settings.health_cache_s):
            self._checking = asyncio.create_task(self._check_all())
        # A caller that gives up must not cancel the check for the others.
        return await asyncio.shield(self._checking)

    def cancel(self) -> None:
        """Cancel a check that is running."""
        if self._checking is not None:
            self._checking.cancel()

    async def _check_all(self) -> dict[str, str]:
        reasons = await asyncio.gather(*(self._check(model, engine) for model, engine in self.engines.items()))
        self._checked_at = asyncio.get_running_loop().time()
        return {model: reason for model, reason in zip(self.engines, reasons, strict=True) if reason}

    async def _check(self, model: str, engine: Engine | PoolingEngine) -> str:
        limit_s = self.settings.health_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await engine.check_health()
        except TimeoutError:
            return f"'{model}' did not answer within {limit_s:g} s."
        except MoaError as error:
            return str(error)
        except Exception as error:
            log_exception(logger, error, "health check of '%s' failed", model)
            return f"The health check of '{model}' failed; the server's log has the details."
        return ""


@cache
def own_version(pyproject: Path = PYPROJECT) -> str:
    """Version of this source tree, whose one source is pyproject.toml."""
    if not pyproject.is_file():
        return "unknown (no pyproject.toml)"
    return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])

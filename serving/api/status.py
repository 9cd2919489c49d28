"""What a server says of itself: `/health`, `/ready`, `/version`, `/v1/models`."""

import asyncio
import logging
import platform
import time
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from serving.api.errors import respond_error
from serving.api.exchange import HttpExchange
from serving.api.settings import ApiSettings
from serving.engine import Engine
from serving.errors import EngineUnavailable, MoaError, UnknownModel
from serving.types import ModelCard

logger = logging.getLogger("serving.api")
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


async def health(call: HttpExchange) -> None:
    """The process is alive and its event loop turns. Nothing is asked of the engines."""
    await call.respond(200, {"status": "ok"})


class Ready:
    """Every engine is warmed and answers. Engines are asked at once, by one caller at a time, and not too often."""

    def __init__(self, engines: Mapping[str, Engine], settings: ApiSettings) -> None:
        self.engines, self.settings = engines, settings
        self._checking: asyncio.Task[dict[str, str]] | None = None
        self._checked_at = -float("inf")

    async def __call__(self, call: HttpExchange) -> None:
        failing = await self.failing()
        if not failing:
            await call.respond(200, {"status": "ready", "engines": sorted(self.engines)})
            return
        reasons = "; ".join(failing.values())
        error = EngineUnavailable(", ".join(failing), reasons.rstrip("."))
        await respond_error(call, error, {"failing": failing})

    async def failing(self) -> dict[str, str]:
        """Why, for each engine that does not answer."""
        now = asyncio.get_running_loop().time()
        if self._checking is None or (self._checking.done() and now - self._checked_at >= self.settings.health_cache_s):
            self._checking = asyncio.create_task(self._check_all())
        # A probe that gives up must not end the check that others wait for.
        return await asyncio.shield(self._checking)

    async def _check_all(self) -> dict[str, str]:
        reasons = await asyncio.gather(*(self._check(model, engine) for model, engine in self.engines.items()))
        self._checked_at = asyncio.get_running_loop().time()
        return {model: reason for model, reason in zip(self.engines, reasons, strict=True) if reason}

    async def _check(self, model: str, engine: Engine) -> str:
        limit_s = self.settings.health_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await engine.check_health()
        except TimeoutError:
            return f"'{model}' did not answer within {limit_s:g} s."
        except MoaError as error:
            return str(error)
        except Exception:
            logger.exception("the health check of '%s' failed", model)
            return f"The health check of '{model}' failed; the server's log has the details."
        return ""


class Version:
    def __init__(self, settings: ApiSettings) -> None:
        self.versions = {"version": own_version(), "python": platform.python_version(), **settings.versions}

    async def __call__(self, call: HttpExchange) -> None:
        await call.respond(200, self.versions)


def own_version(pyproject: Path = PYPROJECT) -> str:
    """The installed package's, or that of the source tree which this is run from."""
    try:
        return version("moa-serve")
    except PackageNotFoundError:
        if not pyproject.is_file():
            return "unknown (neither installed nor run from a whole source tree)"
        return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])


class Models:
    """`GET /v1/models` and `/v1/models/{id}`; an id may have slashes."""

    PREFIX = "/v1/models/"

    def __init__(self, cards: Mapping[str, ModelCard]) -> None:
        created = int(time.time())
        self.models: dict[str, dict[str, Any]] = {
            card.id: {
                "id": card.id,
                "object": "model",
                "created": created,
                "owned_by": "moa-serve",
                "kind": card.kind,
                "max_model_len": card.context_tokens,
                "description": card.description,
            }
            for card in cards.values()
        }

    async def every(self, call: HttpExchange) -> None:
        await call.respond(200, {"object": "list", "data": list(self.models.values())})

    async def one(self, call: HttpExchange) -> None:
        name = call.path.removeprefix(self.PREFIX)
        if name not in self.models:
            raise UnknownModel(name[:256], tuple(self.models))
        await call.respond(200, self.models[name])

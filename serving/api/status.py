"""Status endpoints: `/health`, `/ready`, `/version` and `/v1/models`."""

import asyncio
import logging
import platform
import time
import tomllib
from collections.abc import Mapping
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


async def health(exchange: HttpExchange) -> None:
    """Answer 200 while the process runs; the engines are not checked."""
    await exchange.respond(200, {"status": "ok"})


class Ready:
    """`GET /ready`: 200 if every engine is warm and answers.

    The engines are checked concurrently. Callers share a check that is running, and its result for `health_cache_s`.
    """

    def __init__(self, engines: Mapping[str, Engine], settings: ApiSettings) -> None:
        """Check `engines`, given by model id."""
        self.engines, self.settings = engines, settings
        self._checking: asyncio.Task[dict[str, str]] | None = None
        self._checked_at = -float("inf")

    async def __call__(self, exchange: HttpExchange) -> None:
        failing = await self.failing()
        if not failing:
            await exchange.respond(200, {"status": "ready", "engines": sorted(self.engines)})
            return
        reasons = "; ".join(failing.values())
        error = EngineUnavailable(", ".join(failing), reasons.rstrip("."))
        await respond_error(exchange, error, {"failing": failing})

    async def failing(self) -> dict[str, str]:
        """Reason for each engine that is not ready, by model id."""
        now = asyncio.get_running_loop().time()
        if self._checking is None or (self._checking.done() and now - self._checked_at >= self.settings.health_cache_s):
            self._checking = asyncio.create_task(self._check_all())
        # A caller that gives up must not cancel the check for the others.
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
            logger.exception("health check of '%s' failed", model)
            return f"The health check of '{model}' failed; the server's log has the details."
        return ""


class Version:
    """`GET /version`: versions of the server, of Python and of the libraries named in the settings."""

    def __init__(self, settings: ApiSettings) -> None:
        """Read the versions once."""
        self.versions = {"version": own_version(), "python": platform.python_version(), **settings.versions}

    async def __call__(self, exchange: HttpExchange) -> None:
        await exchange.respond(200, self.versions)


def own_version(pyproject: Path = PYPROJECT) -> str:
    """Version of this source tree, whose one source is pyproject.toml."""
    if not pyproject.is_file():
        return "unknown (no pyproject.toml)"
    return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])


class Models:
    """`GET /v1/models` and `/v1/models/{id}`; an id may contain slashes."""

    PREFIX = "/v1/models/"

    def __init__(self, cards: Mapping[str, ModelCard]) -> None:
        """Describe `cards`, given by model id."""
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

    async def all(self, exchange: HttpExchange) -> None:
        """List all models and recipes."""
        await exchange.respond(200, {"object": "list", "data": list(self.models.values())})

    async def one(self, exchange: HttpExchange) -> None:
        """Describe one model or recipe. Raises `UnknownModel`."""
        name = exchange.path.removeprefix(self.PREFIX)
        if name not in self.models:
            raise UnknownModel(name[:256], tuple(self.models))
        await exchange.respond(200, self.models[name])

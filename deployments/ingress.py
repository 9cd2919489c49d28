"""The HTTP deployment: the API on top of the orchestrator, the orchestrator on top of the models' handles."""

import asyncio
import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import SecretStr
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from deployments.capacity import max_in_flight
from deployments.config import Profile
from deployments.metrics import RayObserver
from deployments.remote import RemoteEngine
from serving.api.app import create_app
from serving.api.settings import ApiSettings
from serving.engine import Engine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes

API_KEY = "MOA_API_KEY"  # one key, or several separated by commas


@serve.ingress()
class Ingress:
    """One orchestrator replica. Imports neither vllm nor ray.serve.llm: they cost 8 s and 770 MB."""

    def __init__(self, profile: Profile, **handles: DeploymentHandle[Any]) -> None:
        """`handles`: `model_0` and so on, in the order of the profile's models."""
        self._profile = profile
        self._engines: dict[str, Engine] = {
            model.id: RemoteEngine(
                model.id, handles[f"model_{number}"], deadline_s=model.deadline_s, replicas=model.replicas.min
            )
            for number, model in enumerate(profile.models)
        }
        self._engines.update((external.id, external.engine()) for external in profile.external)

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        profile = self._profile
        recipes = load_recipes(profile.recipes, profile.team)
        prices = {m.id: m.usd_per_million_tokens for m in profile.served if m.usd_per_million_tokens is not None}
        observer = RayObserver(prices)
        orchestrator = Orchestrator(self._engines, recipes, profile.orchestrator.limits, observer, profile.contexts)
        cards = orchestrator.cards(profile.contexts)
        # The first request then finds a connection to every model.
        await asyncio.gather(*(engine.check_health() for engine in self._engines.values()), return_exceptions=True)
        settings = api_settings(profile.api, os.environ)
        if settings.max_in_flight is None:
            settings = settings.model_copy(update={"max_in_flight": max_in_flight(profile, recipes)})
        return create_app(orchestrator.engines, cards, settings, observer)


def api_settings(settings: ApiSettings, environment: Mapping[str, str]) -> ApiSettings:
    """`settings` with what only a replica knows: keys from its environment, versions of what it runs on."""
    changes: dict[str, Any] = {
        "versions": {"ray": version("ray"), **settings.versions},
        "echo_request_id": False,  # Serve's own middleware sends it back; twice would be one too many
    }
    if settings.api_key is None and environment.get(API_KEY):
        changes["api_key"] = tuple(SecretStr(key.strip()) for key in environment[API_KEY].split(",") if key.strip())
    return settings.model_copy(update=changes)

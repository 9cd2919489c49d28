"""A scripted server of the embedded trio for tests of training: real prompts and their token counts, scripted texts."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import cache

import httpx
from starlette.types import ASGIApp

from deployments.config import load_profile
from serving.api import ApiSettings, create_app
from serving.engines.scripted import Script, ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Delta, GenerateRequest
from tests.support.paths import ROOT
from training.prompts import ModelText
from training.trajectory import PromptMessage

PROFILE = "tiny"
WEIGHTS = ROOT / "models" / "tiny" / "weights"  # a folder for each model
SPECS = {model.id: model for model in load_profile(PROFILE).models}
Scripts = Mapping[str, str | Script]


@cache
def text_of(model: str) -> ModelText:
    return ModelText(SPECS[model])


def scripted_trio(scripts: Scripts) -> dict[str, ScriptedEngine]:
    """Engines that count the tokens of their prompts as the real ones do."""

    def counting(model: str) -> Callable[[GenerateRequest, AsyncGenerator[Delta, None]], AsyncGenerator[Delta, None]]:
        spec = SPECS[model]

        async def counted(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
            prompt = [PromptMessage(role=one.role, content=one.content) for one in request.messages]
            args = spec.template_args(request.thinking, request.template_args)
            length = len(text_of(model).prompt_ids(prompt, args))
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    usage = delta.usage and replace(delta.usage, prompt_tokens=length)
                    yield replace(delta, usage=usage)

        return counted

    return {
        model: ScriptedEngine(
            model,
            scripts.get(model, "ok"),
            context_tokens=8192,
            replicas=1,
            thinking=SPECS[model].thinks,
            tools=SPECS[model].accepts_tools,
            intercept=counting(model),
        )
        for model in SPECS
    }


def trio_app(engines: Mapping[str, ScriptedEngine], profile: str = PROFILE, **settings: object) -> ASGIApp:
    """The API over `engines` with the recipes of the profile."""
    loaded = load_profile(profile)
    orchestrator = Orchestrator(engines, load_recipes(loaded.recipes, loaded.team), loaded.orchestrator.limits)
    versions = {"versions": dict(loaded.api.versions)}
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(**{**versions, **settings}))


def transport_of(engines: Mapping[str, ScriptedEngine], profile: str = PROFILE) -> httpx.AsyncBaseTransport:
    return httpx.ASGITransport(trio_app(engines, profile), raise_app_exceptions=False)

"""Servers with batches over scripted engines, and input files."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai

from serving.api.app import create_app
from serving.api.exchange import Api
from serving.api.settings import ApiSettings
from serving.batches.service import Batches
from serving.batches.settings import BatchSettings
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.store.settings import StoreSettings
from serving.store.store import Store
from tests.support.api import running

CHAT = "/v1/chat/completions"
TEAM = {"proposers": ["a", "b", "c"], "aggregator": "a", "solo": "a", "judge": "a"}


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    """One request; a chat with `m` unless `body` says something else."""
    body = body or {"model": "m", "messages": [{"role": "user", "content": custom_id}]}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def jsonl(*lines: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def rows(content: bytes) -> list[Any]:
    return [json.loads(row) for row in content.splitlines()]


def batches_app(
    folder: Path,
    engines: Mapping[str, Engine] | None = None,
    *,
    works: bool = True,
    environment: Mapping[str, str] | None = None,
    api: ApiSettings | None = None,
    **settings: Any,
) -> Api:
    """The API with batches in `folder`. `settings`: of batches."""
    models = engines or {name: ScriptedEngine(name, f"{name} says it") for name in ("m", *TEAM["proposers"])}
    recipes = load_recipes(["moa-lite"], TEAM) if {*TEAM["proposers"]} <= set(models) else {}
    orchestrator = Orchestrator(models, recipes, pooling={"e": ScriptedPoolingEngine("e")})
    place = StoreSettings(path=str(folder / "store.sqlite"), timeout_s=20)
    store = Store(place, environment=environment or {})
    batches = Batches(BatchSettings(**settings), place, store, works=works)
    settings_of_api = api or ApiSettings()
    return create_app(
        orchestrator.engines,
        orchestrator.cards(),
        settings_of_api,
        pooling=orchestrator.pooling,
        store=store,
        batches=batches,
    )


@asynccontextmanager
async def client_of(app: Api, key: str = "none") -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client of a running server."""
    async with (
        running(app) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client,
    ):
        yield client


async def ended(client: openai.AsyncOpenAI, batch_id: str, statuses: tuple[str, ...] = ()) -> Any:
    """The batch once it has ended, or has one of `statuses`."""
    async with asyncio.timeout(600):
        while True:
            batch = await client.batches.retrieve(batch_id)
            if batch.status in (statuses or ("completed", "failed", "expired", "cancelled")):
                return batch
            await asyncio.sleep(0.05)

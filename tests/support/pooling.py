"""Apps with scripted models that embed and rank."""

from collections.abc import Mapping
from typing import Any

from serving.api import ApiSettings, create_app
from serving.api.exchange import Api
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.pooling import PoolingEngine
from serving.telemetry import Observer


def pooling_app(
    pooling: Mapping[str, PoolingEngine], *, observer: Observer | None = None, chats: bool = True, **settings: Any
) -> Api:
    """The API over `pooling` engines and, if it `chats`, the model "m", which generates."""
    models = {"m": ScriptedEngine("m")} if chats else {}
    orchestrator = Orchestrator(models, {}, observer=observer, pooling=pooling)
    return create_app(
        orchestrator.engines, orchestrator.cards(), ApiSettings(**settings), observer, orchestrator.pooling
    )

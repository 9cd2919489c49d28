"""Demo server of a profile, over scripted engines: `python -m serving.demo --profile NAME` runs it.

Ids, recipes, limits and API settings are the profile's; the models answer with scripted words, and need neither weights
nor Ray.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from deployments.api_settings import api_settings
from deployments.batches_setting import with_batches
from deployments.config import Profile, load_profile
from deployments.plan.checks import check_profile
from serving.api import create_app
from serving.api.exchange import Api
from serving.demo import MAX_IN_FLIGHT, demo_batches, demo_tracer, parsed, scripted, serve
from serving.engine import Engine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.pooling import PoolingEngine
from serving.tracing.spans import Tracer


def demo_app(profile: Profile, given: argparse.Namespace, tracer: Tracer | None = None) -> tuple[Api, list[str]]:
    """The API over scripted engines of the profile's models, and the ids of what it serves.

    Raises:
        ConfigError: the profile cannot work.
    """
    recipes = check_profile(profile, weights_here=False, contexts=False)
    models: dict[str, Engine] = {
        model.id: scripted(
            model.id,
            given,
            context_tokens=model.context_tokens,
            unsupported=model.unsupported,
            tools=model.accepts_tools,
            thinking=model.thinks,
            modalities=model.modalities,
        )
        for model in profile.generating
    }
    models |= {
        model.id: scripted(
            model.id,
            given,
            context_tokens=model.context_tokens,
            unsupported=model.unsupported_abilities,
            tools=True,
            modalities=model.modalities,
        )
        for model in profile.external
    }
    pooling: dict[str, PoolingEngine] = {
        model.id: ScriptedPoolingEngine(
            model.id, "embed" if model.task == "embed" else "rerank", context_tokens=model.context_tokens
        )
        for model in profile.pooling
    }
    orchestrator = Orchestrator(models, recipes, profile.orchestrator.limits, pooling=pooling, tracer=tracer)
    descriptions = {model.id: model.description for model in (*profile.generating, *profile.pooling)}
    known = {name: price.model_dump() for name, price in profile.prices.items()}
    cards = orchestrator.cards(descriptions, known, profile.parents)
    settings = api_settings(profile.api, os.environ)
    most = given.max_in_flight or settings.max_in_flight or MAX_IN_FLIGHT
    settings = settings.model_copy(update={"echo_request_id": True, "max_in_flight": most, "metrics": False})
    enabled = with_batches(profile, os.environ, local=True).batches.enabled
    batches = demo_batches(profile.batches) if enabled else None
    app = create_app(
        orchestrator.engines,
        cards,
        settings,
        pooling=orchestrator.pooling,
        tracer=tracer,
        store=None if batches is None else batches.store,
        batches=batches,
    )
    return app, [card.id for card in cards]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; exit with status 1 and one sentence if the profile or the port cannot be used."""
    given = parsed(arguments)
    try:
        tracer, send_spans = demo_tracer()
        app, ids = demo_app(load_profile(given.profile or "tiny"), given, tracer)
        serve(app, given, ids, send_spans)
    except ConfigError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()

"""Use of the response cache for a request: whether it is on, and the key of the answer."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from serving.api.dependencies import Server
from serving.api.prompt_batch import merged
from serving.cache.cached_answer import CachedAnswer
from serving.cache.key import key_of
from serving.cache.response_cache import ResponseCache
from serving.cache.settings import CacheSettings
from serving.cards import ModelCard
from serving.engine import Engine
from serving.errors import InvalidRequest, MoaError
from serving.store.store import Store
from serving.telemetry import Observer
from serving.types import CacheOption, Delta, GenerateRequest

logger = logging.getLogger("serving.cache")


def response_cache(
    engines: Mapping[str, Engine], settings: CacheSettings, store: Store | None, observer: Observer | None
) -> ResponseCache | None:
    """The response cache of the server; None if it is switched off or there is no store, which the log then says."""
    if store is not None and settings.enabled:
        return ResponseCache(store.expiring, settings, observer)
    options = [engine.caching(GenerateRequest("", ())) for engine in engines.values()]
    if store is None and any(one is not None and one.ttl_s is not None for one in (settings.default, *options)):
        logger.warning("No answer is cached, although the settings ask for it: this server has no store.")
    return None


def cached_answer(
    server: Server, card: ModelCard, engine: Engine, requests: Sequence[GenerateRequest]
) -> CachedAnswer | None:
    """The answer of `engine` to the prompts of one request through the cache; None: the cache is off for it.

    Raises:
        InvalidRequest: the request asks for a cache that there is not, for a longer time than is allowed, or also for
            the events of the run, which a stored answer does not have.
    """
    first, cache = requests[0], server.cache
    asked = first.moa.cache
    wanted = asked is not None and asked.ttl_s is not None
    if cache is None:
        if wanted:
            raise InvalidRequest("Remove 'moa.cache': this server has no response cache.", "moa.cache")
        return None
    option = asked or engine.caching(first) or cache.settings.default
    if option.ttl_s is None:
        return None
    if wanted:
        _check(option, cache.settings.max_ttl_s, first)
    if first.moa.events is not None or first.moa.show_reasoning or first.moa.preview:
        cache.refused(card.id, "live")
        return None
    try:
        identity = engine.identity(first)
    except MoaError:  # the engine refuses the request itself
        return None
    key = key_of(card.id, identity, requests, cache.settings.version)

    def run(waited_s: float) -> AsyncGenerator[Delta, None]:
        left = [
            each if each.deadline_s is None else replace(each, deadline_s=max(each.deadline_s - waited_s, 0.001))
            for each in requests
        ]
        return merged(card.id, engine, left) if len(left) > 1 else engine.generate(left[0])

    return CachedAnswer(cache, key, option.ttl_s, card.id, card.kind, requests, run)


def _check(option: CacheOption, max_ttl_s: float, request: GenerateRequest) -> None:
    """Raise `InvalidRequest` for what a request may not ask for."""
    if option.ttl_s is not None and option.ttl_s > max_ttl_s:
        raise InvalidRequest(f"Set 'moa.cache.ttl_s' to at most {max_ttl_s:g} seconds.", "moa.cache.ttl_s")
    live = (("events", request.moa.events), ("show", request.moa.show_reasoning), ("preview", request.moa.preview))
    for field, given in live:
        if given:
            raise InvalidRequest(
                f"Remove 'moa.cache' or 'moa.{field}': a stored answer has no events of its run.", f"moa.{field}"
            )

"""The key of an answer in the response cache."""

from collections.abc import Sequence
from dataclasses import fields

from serving.cache.digest import digest
from serving.types import GenerateRequest

# Fields of a request that do not change its answer. All others are in the key, those that are added later included.
WITHOUT_MEANING = frozenset(
    {
        *("request_id", "priority", "deadline_s", "stream_interval", "user", "session", "metadata", "running_usage"),
        "trace",  # the trace that the caller continues
        *("tenant", "moa"),  # of them only what `key_of` names
    }
)
MEANING = tuple(field.name for field in fields(GenerateRequest) if field.name not in WITHOUT_MEANING)


def key_of(model: str, identity: str, requests: Sequence[GenerateRequest], version: str = "") -> str:
    """Key of the answer to `requests`, the prompts of one request of a caller.

    Args:
        model: id of the model or recipe that is asked.
        identity: `Engine.identity` of the request, which has its overrides and the chosen recipe.
        requests: as the engine gets them, with their tenant.
        version: the operator's part of all keys.
    """
    each = tuple(
        (request.tenant.scope, request.moa.trace, *(getattr(request, name) for name in MEANING)) for request in requests
    )
    return digest(model, identity, version, each)

"""The field `moa.cache` of a request."""

import math

from serving.errors import InvalidRequest
from serving.types import CacheOption
from serving.validation import shown


def cache_option(value: object) -> CacheOption | None:
    """Option of the response cache; None: not given. Raises `InvalidRequest`."""
    if value is None:
        return None
    if value == "off":
        return CacheOption(None)
    if not isinstance(value, dict) or set(value) != {"ttl_s"}:
        raise InvalidRequest(
            "Set 'moa.cache' to \"off\", or to an object with 'ttl_s' such as {\"ttl_s\": 300}.", "moa.cache"
        )
    ttl_s = value["ttl_s"]
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float) or not (ttl_s > 0 and math.isfinite(ttl_s)):
        raise InvalidRequest(
            f"Set 'moa.cache.ttl_s' to a number of seconds above 0, not {shown(ttl_s)}.", "moa.cache.ttl_s"
        )
    return CacheOption(float(ttl_s))

"""Cross-origin requests: the headers by which a browser lets pages of other origins read the answers."""

from collections.abc import Mapping, Sequence

Headers = tuple[tuple[bytes, bytes], ...]
EXPOSED = b"retry-after, traceparent, x-moa-cache, x-moa-degraded, x-moa-over-budget, x-request-id" + b"".join(
    b", %s" % name
    for unit in (b"requests", b"tokens")
    for value in (b"limit", b"remaining", b"reset")
    for name in (b"x-ratelimit-%s-%s" % (value, unit), b"anthropic-ratelimit-%s-%s" % (unit, value))
)
MAX_AGE_S = "600"  # Chromium keeps the answer to a preflight for two hours at most, Firefox for a day


class Cors:
    """Headers for the pages of some origins. Cookies are not used, so credentials are never allowed."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Allow `origins`, such as `https://chat.example.org`; `*`: all."""
        self._all = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request: Mapping[bytes, bytes]) -> Headers:
        """Headers to add to the response of a request with the headers `request`."""
        if self._all:
            return ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED))
        vary = (b"vary", b"origin")  # a cache must not give one origin's answer to another
        origin = request.get(b"origin")
        if origin is None or origin not in self._origins:
            return (vary,)
        return (vary, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED))


def preflight(request: Mapping[bytes, bytes], allowed: str) -> dict[str, str]:
    """Headers of the answer to an OPTIONS request; `allowed`: the methods of its path.

    Without `access-control-allow-origin`, which `Cors.headers` adds, a browser takes the answer as a refusal.
    """
    if b"access-control-request-method" not in request:
        return {"allow": allowed}
    wanted = request.get(b"access-control-request-headers", b"authorization, content-type").decode("latin-1")
    return {
        "allow": allowed,
        "access-control-allow-methods": allowed,
        "access-control-allow-headers": wanted,
        "access-control-max-age": MAX_AGE_S,
    }

"""Headers that tell a caller its limits: OpenAI's names, and Anthropic's at /v1/messages."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

Headers = tuple[tuple[bytes, bytes], ...]
MESSAGES = "/v1/messages"


@dataclass(frozen=True, slots=True)
class RateStatus:
    """A limit of a minute and what is left of it."""

    unit: str  # "requests" or "tokens"
    limit: int
    remaining: int
    resets_at: float  # Unix time, seconds


def limit_headers(path: str, statuses: list[RateStatus], now: float) -> Headers:
    """Headers of the response to a request to `path`."""
    pairs = _anthropic(statuses) if path == MESSAGES or path.startswith(f"{MESSAGES}/") else _openai(statuses, now)
    return tuple((name.encode(), value.encode()) for name, value in pairs)


def _openai(statuses: list[RateStatus], now: float) -> Iterator[tuple[str, str]]:
    for one in statuses:
        yield f"x-ratelimit-limit-{one.unit}", str(one.limit)
        yield f"x-ratelimit-remaining-{one.unit}", str(one.remaining)
        yield f"x-ratelimit-reset-{one.unit}", duration(one.resets_at - now)


def _anthropic(statuses: list[RateStatus]) -> Iterator[tuple[str, str]]:
    for one in statuses:
        yield f"anthropic-ratelimit-{one.unit}-limit", str(one.limit)
        yield f"anthropic-ratelimit-{one.unit}-remaining", str(one.remaining)
        yield (
            f"anthropic-ratelimit-{one.unit}-reset",
            f"{datetime.fromtimestamp(one.resets_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        )


def duration(seconds: float) -> str:
    """Whole seconds as OpenAI writes them: `59s`, `1m0s`."""
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"

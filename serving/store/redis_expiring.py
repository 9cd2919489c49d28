"""State that expires, in Redis or Valkey."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from serving.failures import said
from serving.store.counters import ROUNDING, Added, Addition
from serving.store.errors import StoreUnavailable

# Each runs as one step in the server. Lifetimes are in milliseconds.
# For each counter an amount, its lifetime and its limit, or an empty text.
ADD_ALL = """
local granted, totals = 1, {}
for i, key in ipairs(KEYS) do
  local total, limit = tonumber(redis.call('GET', key) or '0'), ARGV[3 * i]
  if limit ~= '' and total + tonumber(ARGV[3 * i - 2]) > tonumber(limit) then granted = 0 end
  totals[i] = string.format('%.17g', total)
end
if granted == 1 then
  for i, key in ipairs(KEYS) do
    totals[i] = redis.call('INCRBYFLOAT', key, ARGV[3 * i - 2])
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[3 * i - 1]) end
  end
end
return {granted, unpack(totals)}
"""
CLAIM = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
PREFIX = "moa:"
COUNTER = "moa:counter:"
AWAY_S = 10.0  # for which a server that was too slow is not asked; the store checks it earlier, and apart from answers


class RedisExpiring:
    """`Expiring` in Redis or Valkey. Keys begin with `moa:`, so that others can use the same server.

    A server that does not answer in time, such as one that hangs, is away: until `ping` reaches it, or for 10 s, all
    methods fail at once. Otherwise each step of each request would wait for it.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        """`url`: `redis://HOST:PORT/NUMBER`. `timeout_s`: of each method, with connecting."""
        self._timeout_s = timeout_s
        self._away_until = -float("inf")
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # A connection that the server has closed meanwhile; a command that was too slow may have been done.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
            health_check_interval=30,
        )
        self._add_all = self._redis.register_script(ADD_ALL)
        self._claim = self._redis.register_script(CLAIM)
        self._release = self._redis.register_script(RELEASE)

    async def get(self, key: str) -> bytes | None:
        async with self._asked():
            value = await self._redis.get(PREFIX + key)
            return value.encode() if isinstance(value, str) else value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        async with self._asked():
            await self._redis.set(PREFIX + key, value, px=_ms(ttl_s))

    async def add_all(self, additions: Sequence[Addition]) -> Added:
        arguments: list[str | int] = []
        for one in additions:
            limit = "" if one.limit is None else repr(one.limit + ROUNDING)
            arguments += [repr(float(one.amount)), _ms(one.ttl_s), limit]
        async with self._asked():
            granted, *totals = await self._add_all(keys=[COUNTER + one.key for one in additions], args=arguments)
            return Added(bool(granted), tuple(float(total) for total in totals))

    async def total(self, key: str) -> float:
        async with self._asked():
            return float(await self._redis.get(COUNTER + key) or 0)

    async def claim(self, key: str, owner: str, ttl_s: float) -> bool:
        async with self._asked():
            return bool(await self._claim(keys=[PREFIX + key], args=[owner, _ms(ttl_s)]))

    async def release(self, key: str, owner: str) -> None:
        async with self._asked():
            await self._release(keys=[PREFIX + key], args=[owner])

    async def evict(self, prefix: str, max_bytes: int) -> None:
        """Nothing to do: Redis evicts by its own `maxmemory` and `maxmemory-policy`."""

    async def sweep(self) -> None:
        """Nothing to do: Redis removes what has expired."""

    async def ping(self) -> None:
        async with self._reached():
            await self._redis.ping()
        self._away_until = -float("inf")

    async def close(self) -> None:
        """Close all connections."""
        try:
            await self._redis.aclose()
        except (RedisError, OSError):
            return  # a server that is away closes nothing

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        if time.monotonic() < self._away_until:
            raise StoreUnavailable("it did not answer in time, and is asked again after the next check")
        async with self._reached():
            yield

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[None]:
        try:
            # The client's own timeout is that of one step: of connecting, of each message of a new connection, ...
            async with asyncio.timeout(self._timeout_s):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, TimeoutError | RedisTimeout):
                self._away_until = time.monotonic() + AWAY_S
            raise StoreUnavailable(f"{type(error).__name__}: {said(error)}") from error


def _ms(ttl_s: float) -> int:
    return max(1, round(1000 * ttl_s))

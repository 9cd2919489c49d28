"""The stream of one answer, from the response cache or from the engine."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from serving.cache.pieces import deltas_of
from serving.cache.refusals import refusal
from serving.cache.response_cache import Lead, ResponseCache
from serving.engine import collect
from serving.errors import MoaError
from serving.telemetry import RequestEnd, StreamOutcome
from serving.types import CacheStatus, Completion, Delta, GenerateRequest, Report

# Takes the seconds that have passed in waiting, and returns the stream of the engine.
Run = Callable[[float], AsyncGenerator[Delta, None]]
HELD_RATIO = 32  # characters of an answer that are held for storing, per byte of `max_entry_bytes`


class CachedAnswer:
    """The answer to one request for which the cache is on.

    Attributes:
        status: of the answer so far; "stored" is known at its end only.
    """

    def __init__(
        self,
        cache: ResponseCache,
        key: str,
        ttl_s: float,
        model: str,
        kind: Literal["model", "recipe"],
        requests: Sequence[GenerateRequest],
        run: Run,
    ) -> None:
        """Prepare an answer.

        Args:
            cache: the cache.
            key: see `serving.cache.key.key_of`.
            ttl_s: lifetime of the answer, if it is stored.
            model: id of the model or recipe.
            kind: its kind.
            requests: the prompts.
            run: asks the engine.
        """
        self.status: CacheStatus = "miss"
        self._cache, self._key, self._ttl_s = cache, key, ttl_s
        self._model, self._kind = model, kind
        self._requests, self._run = requests, run

    async def stream(self) -> AsyncGenerator[Delta, None]:
        """Deltas of the answer; the terminal one has a report with the answer's `cache`.

        An answer that is not from the cache begins without delay once the engine is asked; only its last delta waits
        until it is stored, for at most 0.25 s. Raises what the engine raises.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline_s = self._requests[0].deadline_s
        limit_s = self._cache.settings.wait_s
        outcome = StreamOutcome()
        found: Completion | Lead | None = None
        asked = False
        try:
            with outcome:
                found = await self._cache.find(
                    self._key, self._model, limit_s if deadline_s is None else min(limit_s, deadline_s / 2)
                )
                if isinstance(found, Completion):
                    self.status = "hit"
                    for delta in self._hit(found):
                        outcome.add(delta)
                        yield delta
                else:
                    asked = True
        finally:
            if not asked:
                self._report(outcome)
        if asked:
            self._cache.observer.cache_used(self._model, "miss")
            async with aclosing(self._computed(found, loop.time() - began)) as stream:
                async for delta in stream:
                    yield delta

    def _hit(self, answer: Completion) -> Iterator[Delta]:
        report = answer.report or Report(self._model, False, (), (), answer.usage)
        answer = replace(answer, report=replace(report, cache="hit"))
        return deltas_of(answer, whole=not self._requests[0].streaming)

    def _report(self, outcome: StreamOutcome) -> None:
        """Report a request for which no engine was asked; without tokens, as none were computed."""
        self._cache.observer.request_started(self._model)
        end = RequestEnd(self._model, self._kind, outcome.code, False, None, outcome.ttft_s, outcome.total_s)
        self._cache.observer.request_ended(end)

    async def _computed(self, lead: "Lead | Completion | None", waited_s: float) -> AsyncGenerator[Delta, None]:
        """The engine's stream, at whose end the answer is stored and handed to all that wait for it."""
        held: list[Delta] | None = []
        room = HELD_RATIO * self._cache.settings.max_entry_bytes
        answer: Completion | None = None
        left = True
        try:
            async with aclosing(self._run(waited_s)) as stream:
                async for delta in stream:
                    if held is not None:
                        held.append(delta)
                        room -= _size(delta)
                        if room < 0:
                            held = None
                    if delta.usage is not None:
                        answer = await self._kept(held)
                        report = delta.report or Report(self._model, False, (), (), delta.usage)
                        delta = replace(delta, report=replace(report, cache=self.status))
                        left = False
                        if isinstance(lead, Lead):
                            lead.end(answer)
                    yield delta
            left = False
        except Exception:
            left = False
            raise
        finally:
            if isinstance(lead, Lead):
                lead.end(left=left)

    async def _kept(self, held: list[Delta] | None) -> Completion | None:
        """The whole answer, if others may have it; stored, if it can be. `held`: its deltas; None: too many."""
        if held is None:
            self._cache.refused(self._model, "too_large")
            return None
        try:
            answer = await collect(self._model, _stream_of(held))
        except MoaError:  # the API finds the same, and says so
            return None
        sampling, trace = self._requests[0].sampling, self._requests[0].moa.trace
        if (why := refusal(answer, sampling)) is not None:
            self._cache.refused(self._model, why)
            return None
        if answer.report is not None and not trace:
            answer = replace(answer, report=replace(answer.report, agents=()))
        if await self._cache.keep(self._key, self._model, answer, self._ttl_s):
            self.status = "stored"
        return answer


async def _stream_of(deltas: Sequence[Delta]) -> AsyncGenerator[Delta, None]:
    for delta in deltas:
        yield delta


def _size(delta: Delta) -> int:
    """Characters of a delta, roughly."""
    tokens = sum(1 + len(one.top) for one in delta.logprobs or ())
    return len(delta.text) + len(delta.reasoning) + sum(len(c.arguments) for c in delta.tool_calls) + 32 * tokens

"""A deterministic engine with a timing model and faults: for tests, demonstrations and scale runs.

Timing follows the usual model of a continuously batching engine: the prompt costs `prompt / prefill_tokens_per_s`,
every token `itl_s * (1 + batch_slowdown * (running - 1))`.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, MutableSequence
from contextlib import aclosing
from dataclasses import dataclass, field

from serving.engine import answer_tokens
from serving.errors import EngineUnavailable, MoaError
from serving.types import Delta, FinishReason, GenerateRequest, Timing, TokenLogprob, TokenUsage

Script = Callable[[GenerateRequest], str]


def words(text: str) -> list[str]:
    """Scripted tokens: words with the white space before them."""
    return re.findall(r"\s*\S+|\s+$", text)


def prompt_tokens(request: GenerateRequest) -> int:
    return sum(len(words(message.content)) + 4 for message in request.messages)


@dataclass
class ScriptedEngine:
    """Answers `answer` (or `answer(request)`), word by word."""

    model: str = "scripted"
    answer: str | Script = "ok"
    ttft_s: float = 0.0
    itl_s: float = 0.0
    prefill_tokens_per_s: float = float("inf")
    batch_slowdown: float = 0.0
    context_tokens: int = 1_000_000
    fail_after: int | None = None  # tokens before `error` is raised
    error: MoaError | None = None
    cut_after: int | None = None  # tokens before the stream ends without its terminal delta
    hang: bool = False  # never gives its first token
    healthy: bool = True
    logprob: float = 0.0  # of every token
    unsupported: frozenset[str] = frozenset()  # abilities that recipes may need and this engine does not have

    # All that were asked, in order; a `deque(maxlen=0)` for runs of any length.
    requests: MutableSequence[GenerateRequest] = field(default_factory=list)
    running: int = 0
    cancelled: int = 0  # streams closed before their end

    async def check_health(self) -> None:
        if not self.healthy:
            raise EngineUnavailable(self.model, "scripted to be unhealthy")

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        self.running += 1
        finished = False
        try:
            async with aclosing(self._stream(request)) as stream:
                async for delta in stream:
                    finished = delta.terminal
                    yield delta
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += not finished
            raise
        finally:
            self.running -= 1

    async def _stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        length = prompt_tokens(request)
        sampling = request.sampling
        most = answer_tokens(self.model, request, length, self.context_tokens)
        await asyncio.sleep(self.ttft_s + length / self.prefill_tokens_per_s)
        if self.hang:
            await asyncio.Event().wait()
        if request.prefill_marker is not None:
            yield Delta(finish_reason="length", usage=TokenUsage(length, 0, 0))
            return
        text = self.answer if isinstance(self.answer, str) else self.answer(request)
        tokens = words(text)
        finish_reason: FinishReason = "stop"
        if len(tokens) > most:
            tokens, finish_reason = tokens[:most], "length"
        first_s = loop.time() - started
        pieces: list[str] = []
        for count, token in enumerate([*tokens, ""]):
            if self.error is not None and count >= (self.fail_after or 0):
                raise self.error
            if self.cut_after is not None and count >= self.cut_after:
                return
            if not token:
                break
            if count and self.itl_s:
                await asyncio.sleep(self.itl_s * (1 + self.batch_slowdown * (self.running - 1)))
            if request.streaming:
                for index in range(sampling.n):
                    yield Delta(token, index, self._logprobs([token], request))
            else:
                pieces.append(token)
        usage = TokenUsage(length, len(tokens) * sampling.n, 0)
        timing = Timing(0.0, first_s, loop.time() - started)
        for index in range(sampling.n):
            last = index == sampling.n - 1
            yield Delta(
                "".join(pieces),
                index,
                self._logprobs(pieces, request) if pieces else None,
                finish_reason=finish_reason,
                usage=usage if last else None,
                timing=timing if last else None,
            )

    def _logprobs(self, tokens: list[str], request: GenerateRequest) -> tuple[TokenLogprob, ...] | None:
        if request.sampling.logprobs is None:
            return None
        return tuple(TokenLogprob(token, self.logprob, token.encode()) for token in tokens)

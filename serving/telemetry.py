"""How a stream of deltas ended: one fold for metrics and for the request log."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from serving.errors import MoaError
from serving.types import AgentTrace, Delta, TokenUsage


class StreamOutcome:
    """Add each delta inside a `with` around the stream; `word` and the rest are true once it is left.

    Attributes:
        word: "ok", "cancelled" where the stream was left before its end, or an error's code.
        degraded: whether the answer's report says so.
        usage: the answer's; `None` where it did not end.
        ttft_s, total_s: since the `with` began, in seconds; `ttft_s` is `None` where no text came.
    """

    def __init__(self) -> None:
        self.word = "cancelled"
        self.degraded = False
        self.usage: TokenUsage | None = None
        self.ttft_s: float | None = None
        self.total_s = 0.0

    def add(self, delta: Delta) -> None:
        if self.ttft_s is None and delta.text:
            self.ttft_s = self._elapsed_s()
        if delta.usage is not None:
            self.word, self.usage = "ok", delta.usage
            self.degraded = delta.report is not None and delta.report.degraded

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.total_s = self._elapsed_s()
        if isinstance(error, Exception):  # not those by which a caller leaves: GeneratorExit, CancelledError
            self.word = error.code if isinstance(error, MoaError) else MoaError.code

    def _elapsed_s(self) -> float:
        return self._loop.time() - self._began


@dataclass(frozen=True, slots=True)
class RequestEnd:
    """One request's end, for a model or a recipe."""

    model: str
    kind: str  # "model" or "recipe"
    outcome: str  # "ok", "cancelled", or an error's code
    degraded: bool
    usage: TokenUsage | None  # None where the request ended without an answer
    ttft_s: float | None  # to the first piece of the answer
    total_s: float


class Observer:
    """Watches nothing; subclasses override what they want to see."""

    def request_refused(self, code: str) -> None:
        """A chat request ended with this error's code before any engine was asked: none of the others tells of it."""

    def request_started(self, model: str) -> None: ...

    def request_ended(self, end: RequestEnd) -> None: ...

    def agent_ended(self, recipe: str, trace: AgentTrace) -> None: ...

    def hedged(self, recipe: str, model: str) -> None: ...

    def prefilled(self, recipe: str, model: str, ok: bool) -> None: ...

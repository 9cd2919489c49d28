"""Telemetry: the events that a server reports to metrics, logs and watching callers, and the outcome of a stream."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from serving.errors import MoaError
from serving.types import AgentTrace, Delta, Report
from serving.usage import TokenUsage

NO_RECIPE = "none"  # in place of a recipe's id: the event belongs to a single model


@dataclass(frozen=True, slots=True)
class RequestEnd:
    """End of one request to a model or a recipe."""

    model: str
    kind: str  # "model" or "recipe"
    outcome: str  # "ok", "cancelled", or an error's code
    degraded: bool
    usage: TokenUsage | None  # None if the request ended without an answer
    ttft_s: float | None  # to the first piece of the answer
    total_s: float
    answer_tokens: int | None = None  # of the call that wrote the answer; None: unknown, or of several choices

    @property
    def tpot_s(self) -> float | None:
        """Seconds per output token after the first, as the caller saw them.

        `None` unless the answer is complete and has a known number of tokens, two or more.
        """
        if self.outcome != "ok" or self.ttft_s is None or self.answer_tokens is None or self.answer_tokens < 2:
            return None
        return (self.total_s - self.ttft_s) / (self.answer_tokens - 1)


class Observer:
    """Receiver of events that does nothing; subclasses override the events they record.

    Called on the event loop: a method must not block.
    """

    def request_refused(self, code: str) -> None:
        """A chat request ended with this error code before any engine was asked; no other event reports it."""

    def caller_admitted(self, caller: str, priority_class: str, prompts: int) -> None:
        """Work on so many prompts of a caller began; `caller` is the name of its key."""

    def caller_refused(self, caller: str, priority_class: str) -> None:
        """A caller was refused because its limit or that of the server was reached."""

    def caller_running(self, caller: str, priority_class: str, prompts: int) -> None:
        """Prompts of a caller in progress now."""

    def store_checked(self, part: str, available: bool) -> None:
        """The store's "database" or "expiring" state was asked whether it answers."""

    def records_lost(self, count: int) -> None:
        """So many records were dropped because the store was away, or could not be written."""

    def limits_without_store(self, decision: str) -> None:
        """A request of a caller with limits came while the store was away; `decision`: "allow" or "refuse"."""

    def cache_used(self, model: str, event: str, size_bytes: int = 0) -> None:
        """The response cache had an answer of a model or a recipe ("hit") or not ("miss"), or what became of a new one.

        That is "stored", "error" if the store could not be reached, or the reason why it was not stored; see
        `serving.cache.refusals`. `size_bytes`: of the entry that was read or written.
        """

    def key_used(self, key: str, usage: TokenUsage) -> None:
        """A request of the key named `key` ended; its calls took these tokens, as far as they are known."""

    def spent(self, key: str, usd: float) -> None:
        """Dollars that the key named `key` has spent in this month (UTC), by the records of all replicas."""

    def key_budget(self, key: str, usd: float) -> None:
        """Dollars that the key named `key` may spend in a month."""

    def answer_rated(self, model: str, score: float) -> None:
        """A caller sent feedback on an answer of a model or a recipe: from 0 (bad) to 1 (good)."""

    def answer_graded(self, model: str, proposers: int, score: float) -> None:
        """A judge graded an answer: from 0 (wrong) to 1 (correct and complete). `proposers`: of its largest layer."""

    def answer_not_graded(self, reason: str) -> None:
        """An answer of the sample got no grade: "full", "limit", "failed" or "abstained"."""

    def batch_lines(self, running: int, waiting: int) -> None:
        """Lines of batches that this worker answers now, and those that wait for it."""

    def batch_line_ended(self, outcome: str) -> None:
        """A line of a batch was "completed" or has "failed", or is tried again later: "retried"."""

    def batch_ended(self, status: str) -> None:
        """A batch ended: "completed", "failed", "expired" or "cancelled"."""

    def request_started(self, model: str) -> None:
        """A model or a recipe was asked."""

    def request_ended(self, end: RequestEnd) -> None:
        """The request of an earlier `request_started` ended."""

    def agent_ended(self, recipe: str, trace: AgentTrace) -> None:
        """One agent of a recipe's run ended."""

    def hedged(self, recipe: str, model: str) -> None:
        """A second attempt of a slow call started."""

    def voted(self, recipe: str, agreed: bool) -> None:
        """Proposers drafted tool calls; `agreed`: enough drafts were equal to be the answer."""

    def refilled(self, recipe: str, model: str) -> None:
        """A slot of a layer, whose proposal failed or was empty, was given to `model`."""

    def prefilled(self, recipe: str, model: str, kind: str, ok: bool) -> None:
        """A prefill of the next "layer" or of the "next_turn" ended; `ok` is False if it failed or was cancelled.

        `recipe` is `NO_RECIPE` for a single model's next turn.
        """


class CallObserver:
    """Receiver of the events of one call that does nothing: nobody watches."""

    stream_interval: int | None = None  # tokens per delta of a proposal; None: need not be streamed

    def started(self, *, answers: bool = False) -> None:
        """The call started; `answers`: it streams the answer."""

    def retried(self) -> None:
        """A new attempt started from nothing."""

    def hedged(self) -> None:
        """A second attempt started beside the first."""

    def first_token(self, index: int = 0) -> None:
        """The first piece of the choice `index` arrived."""

    def wrote(self, delta: Delta) -> None:
        """A proposal's delta arrived."""


_calls: ContextVar[list[AgentTrace] | None] = ContextVar("calls", default=None)


def collect_calls() -> list[AgentTrace]:
    """List that gets the traces of all agent calls of this request, whether it gets an answer or not.

    It belongs to the current task and the tasks that it starts from now on.
    """
    calls: list[AgentTrace] = []
    _calls.set(calls)
    return calls


def call_ended(trace: AgentTrace) -> None:
    """Add one agent's call to the list of its request."""
    if (calls := _calls.get()) is not None:
        calls.append(trace)


class StreamOutcome:
    """Outcome of a stream of deltas: add each one inside a `with` around the stream.

    Attributes:
        code: "ok", "cancelled" if the stream was left before its end, or an error's code.
        degraded: True if the answer's report says so.
        cached: True if the answer came from the response cache: no engine was asked.
        report: the answer's; `None` if it has none or did not end.
        usage: the answer's; `None` if it did not end.
        answer_tokens: completion tokens of the call that wrote the answer; `None` if the answer did not end, has
            several choices, or its tokens were not counted.
        ttft_s: seconds from the start of the `with` to the first text, reasoning or tool call; `None` if none came.
        total_s: seconds from the start of the `with` to its end.
    """

    def __init__(self) -> None:
        self.code = "cancelled"
        self.degraded = self.cached = False
        self.report: Report | None = None
        self.usage: TokenUsage | None = None
        self.answer_tokens: int | None = None
        self.ttft_s: float | None = None
        self.total_s = 0.0
        self._several = False

    def add(self, delta: Delta) -> None:
        """Take one delta into account."""
        if self.ttft_s is None and (delta.text or delta.reasoning or delta.tool_calls):
            self.ttft_s = self._elapsed_s()
        self._several = self._several or delta.index > 0
        if delta.usage is not None:
            self.end(delta.usage)
            self.report = delta.report
            self.degraded = delta.report is not None and delta.report.degraded
            self.cached = delta.report is not None and delta.report.cache == "hit"
            answer = None if delta.report is None else delta.report.answer_usage
            self.answer_tokens = None if self._several else (answer or delta.usage).completion_tokens

    def end(self, usage: TokenUsage) -> None:
        """The answer is complete."""
        self.code, self.usage = "ok", usage

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.total_s = self._elapsed_s()
        if isinstance(error, Exception):  # not GeneratorExit or CancelledError, by which a caller leaves
            self.code = error.code if isinstance(error, MoaError) else MoaError.code

    def _elapsed_s(self) -> float:
        return self._loop.time() - self._began

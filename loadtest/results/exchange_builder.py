"""Builds an `Exchange` from the bytes of an answer. It does no input or output."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.results.exchange import Exchange
from serving import sse

INCOMPLETE = "stream ended early"


@dataclass(slots=True)
class ExchangeBuilder:
    """Record of one request in progress. Times are seconds on the client's clock (`time.perf_counter()`)."""

    scenario: str
    model: str
    streamed: bool
    sent: float
    planned_s: float | None = None
    text: list[str] = field(default_factory=list)
    status: int = 0
    first_frame: float | None = None
    first_token: float | None = None
    first_answer: float | None = None
    last_answer: float | None = None
    gaps_s: list[float] = field(default_factory=list)
    usage: Mapping[str, Any] = field(default_factory=dict)
    moa: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False  # a choice had a finish reason
    done: bool = False  # `[DONE]` arrived
    error: str | None = None
    parser: sse.EventParser = field(default_factory=sse.EventParser)

    def feed(self, chunk: bytes, now: float) -> None:
        """Add bytes of a streamed answer, cut anywhere."""
        try:
            for event in self.parser.feed(chunk):
                self._event(event.data, now)
        except ValueError:  # not JSON, or an endless event
            self.fail("malformed frame")

    def add_whole(self, status: int, body: bytes) -> None:
        """Add a complete response that is not streamed: an answer or an error."""
        self.status = status
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        if not isinstance(answer, dict):
            answer = {}
        if status != 200:
            self.fail(_error_kind(status, answer.get("error")))
            return
        choices = answer.get("choices") or ()
        if not choices:
            self.fail("malformed answer")
            return
        self._add_report(answer)
        self.text.append((choices[0].get("message") or {}).get("content") or "")
        self.finished = self.done = True

    def fail(self, kind: str) -> None:
        """Record an error; only the first is kept."""
        self.error = self.error or kind

    def build(self, now: float, started: float) -> Exchange:
        """Build the exchange of an answer that ended at `now`, in a run that began at `started`."""
        if self.error is None and not (self.finished and self.done):
            self.error = INCOMPLETE
        team = self.moa.get("usage") or self.usage
        return Exchange(
            scenario=self.scenario,
            model=self.model,
            streamed=self.streamed,
            sent_s=self.sent - started,
            total_s=now - self.sent,
            planned_s=self.planned_s,
            first_frame_s=self._after(self.first_frame),
            first_token_s=self._after(self.first_token),
            first_answer_s=self._after(self.first_answer),
            gaps_s=tuple(self.gaps_s),
            prompt_tokens=team.get("prompt_tokens"),
            team_tokens=team.get("completion_tokens"),
            answer_tokens=self._answer_tokens(),
            degraded=bool(self.moa.get("degraded")),
            status=self.status,
            error=self.error,
        )

    def _event(self, data: bytes, now: float) -> None:
        if data == sse.DONE_DATA:
            self.done = True
            return
        frame = json.loads(data)
        if not isinstance(frame, dict):
            self.fail("malformed frame")
            return
        if error := frame.get("error"):
            self.fail(_error_kind(200, error))
            return
        if self.first_frame is None:
            self.first_frame = now
        self._add_report(frame)
        for choice in frame.get("choices") or ():
            self._choice(choice, now)

    def _choice(self, choice: Mapping[str, Any], now: float) -> None:
        delta = choice.get("delta") or {}
        content = delta.get("content") or ""
        if self.first_token is None and (content or delta.get("reasoning_content") or delta.get("reasoning")):
            self.first_token = now
        if content:
            self.text.append(content)
            if self.last_answer is None:
                self.first_answer = now
            else:
                self.gaps_s.append(now - self.last_answer)
            self.last_answer = now
        self.finished = self.finished or choice.get("finish_reason") is not None

    def _add_report(self, answer: Mapping[str, Any]) -> None:
        self.usage = answer.get("usage") or self.usage
        self.moa = answer.get("moa") or self.moa

    def _answer_tokens(self) -> int | None:
        """Completion tokens of the answer alone.

        If `usage` equals the team's, the server may report the team's in both (`api.usage: team`): the trace is read.
        """
        if "usage" in self.moa and self.usage and self.usage != self.moa["usage"]:
            own: int | None = self.usage.get("completion_tokens")
            return own
        for agent in reversed(list(agents(self.moa))):
            if agent["outcome"] == "ok":
                tokens: int | None = agent["usage"]["completion_tokens"]
                return tokens
        return None if "recipe" in self.moa else self.usage.get("completion_tokens")

    def _after(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self.sent


def agents(moa: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Agents of a trace in the order of their layers, each with its `layer` number."""
    for layer in moa.get("trace") or ():
        for agent in layer["agents"]:
            yield {"layer": layer["layer"], **agent}


def _error_kind(status: int, error: object) -> str:
    code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    return f"{status} {code}" if code else str(status)

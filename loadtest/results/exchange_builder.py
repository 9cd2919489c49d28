"""From the lines of a streamed answer, or from a whole one, to an `Exchange`. No input and output of its own."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.results.exchange import Exchange

INCOMPLETE = "stream ended early"


@dataclass(slots=True)
class ExchangeBuilder:
    """Fed with lines as they arrive; times are the client's clock in seconds.

    `data:` lines are OpenAI's chunks; comments (keep-alives) and other fields are passed over.
    """

    scenario: str
    model: str
    streamed: bool
    sent: float  # clock
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
    finished: bool = False  # a choice said why it ended
    done: bool = False  # the stream's own end mark
    error: str | None = None

    def line(self, line: bytes, now: float) -> None:
        """One line of the stream, with or without its line end."""
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
            return
        try:
            frame = json.loads(data)
        except ValueError:
            self.fail("malformed frame")
            return
        if not isinstance(frame, dict):
            self.fail("malformed frame")
            return
        if error := frame.get("error"):
            self.fail(_error_kind(200, error))
            return
        if self.first_frame is None:
            self.first_frame = now
        self._about(frame)
        for choice in frame.get("choices") or ():
            self._choice(choice, now)

    def whole(self, status: int, body: bytes, now: float) -> None:
        """A whole answer, or an error's body."""
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
        self._about(answer)
        self.text.append((choices[0].get("message") or {}).get("content") or "")
        self.finished = self.done = True

    def fail(self, kind: str) -> None:
        """The first error is the one that counts."""
        self.error = self.error or kind

    def exchange(self, now: float, started: float) -> Exchange:
        """The record, once the answer has ended at `now`; `started` is the run's start on the same clock."""
        if self.error is None and not (self.finished and self.done):
            self.error = INCOMPLETE
        team_tokens = self.usage.get("completion_tokens")
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
            prompt_tokens=self.usage.get("prompt_tokens"),
            team_tokens=team_tokens,
            answer_tokens=self._answer_tokens(),
            degraded=bool(self.moa.get("degraded")),
            status=self.status,
            error=self.error,
        )

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

    def _about(self, answer: Mapping[str, Any]) -> None:
        self.usage = answer.get("usage") or self.usage
        self.moa = answer.get("moa") or self.moa

    def _answer_tokens(self) -> int | None:
        """A recipe's usage sums all agents up: the answer's own tokens are the last layer's, known from the trace."""
        for agent in reversed(list(agents(self.moa))):
            if agent["outcome"] == "ok":
                tokens: int | None = agent["usage"]["completion_tokens"]
                return tokens
        return None if "recipe" in self.moa else self.usage.get("completion_tokens")

    def _after(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self.sent


def agents(moa: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Every agent of a trace, layer by layer, each with its `layer` number."""
    for layer in moa.get("trace") or ():
        for agent in layer["agents"]:
            yield {"layer": layer["layer"], **agent}


def _error_kind(status: int, error: object) -> str:
    code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    return f"{status} {code}" if code else str(status)

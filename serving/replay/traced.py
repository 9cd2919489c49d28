"""The trace of a server's answer: text, times and token counts of each agent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.conversation import FinishReason

READY = ("ok", "empty")  # outcomes of calls that ended by themselves


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One agent's call. Times are in milliseconds after the start of the run."""

    layer: int
    agent: int
    role: str
    model: str
    outcome: str
    text: str
    reasoning: str
    finish_reason: FinishReason | None
    prompt_tokens: int | None
    completion_tokens: int | None
    shortened: int  # references that were cut to fit the context
    started_ms: float | None
    ended_ms: float | None
    called_tools: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Layer and position in it."""
        return self.layer, self.agent

    @property
    def sampled_with_another(self) -> bool:
        """True if the call's tokens are counted with another sample of the same call."""
        return self.prompt_tokens == 0


@dataclass(frozen=True, slots=True)
class TracedAnswer:
    """A server's answer with its trace."""

    text: str
    calls: tuple[TracedCall, ...]

    @property
    def tokens(self) -> int | None:
        """Tokens that all agents generated; `None` if one count is unknown."""
        return total(call.completion_tokens for call in self.calls)

    def problem(self) -> str | None:
        """Reason for which the agents' prompts cannot be rebuilt from the trace; `None` if they can."""
        if not self.calls:
            return "the answer has no trace"
        for call in self.calls:
            if call.outcome not in READY:
                return f"'{call.model}' ({call.role}) ended as '{call.outcome}'"
            if call.shortened:
                return f"'{call.model}' ({call.role}) read shortened references"
            if call.called_tools:
                return f"'{call.model}' ({call.role}) called a tool"
            if call.started_ms is None or call.ended_ms is None:
                return f"the times of '{call.model}' ({call.role}) are unknown"
        if len({call.place for call in self.calls}) < len(self.calls):
            return "two agents of the trace have the same place"
        return None


def total(counts: Iterable[int | None]) -> int | None:
    """Sum of token counts; `None`, not a smaller sum, if one is unknown."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def traced_answer(body: Mapping[str, Any]) -> TracedAnswer:
    """Read a chat completion that was requested with `moa: {"trace": true}`. Raises `KeyError` and `TypeError`."""
    layers = (body.get("moa") or {}).get("trace") or []
    calls = [_call(layer["layer"], agent) for layer in layers for agent in layer["agents"]]
    return TracedAnswer(body["choices"][0]["message"]["content"] or "", tuple(calls))


def _call(layer: int, agent: Mapping[str, Any]) -> TracedCall:
    started, elapsed = agent["started_ms"], agent["elapsed_ms"]
    return TracedCall(
        layer,
        agent["agent"],
        agent["role"],
        agent["model"],
        agent["outcome"],
        agent["text"],
        agent.get("reasoning", ""),
        agent["finish_reason"],
        agent["usage"]["prompt_tokens"],
        agent["usage"]["completion_tokens"],
        agent["shortened"],
        started,
        None if started is None or elapsed is None else started + elapsed,
        bool(agent.get("tool_calls")),
    )

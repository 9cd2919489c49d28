"""What a server tells whoever watches it (metrics, logs). Called on the event loop: must not block."""

from dataclasses import dataclass

from serving.types import AgentTrace, TokenUsage


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

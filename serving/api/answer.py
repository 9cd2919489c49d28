"""An answer in a dialect, whole and as events: the interface between `streaming` and the dialects."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from serving.types import Completion, Delta, GenerateRequest


class EventEncoder(Protocol):
    """Encoder of one stream in a dialect: deltas to server-sent events.

    Attributes:
        unfinished: choices without a finish reason so far.
    """

    unfinished: set[int]

    def opening(self) -> bytes:
        """Events before the first delta."""

    def encode(self, delta: Delta) -> bytes:
        """Events for one delta; may be empty."""

    def closing(self) -> bytes:
        """Events after the last delta."""

    def failure(self, error: Exception) -> bytes:
        """Events that end a stream whose answer has failed."""


class Answer(Protocol):
    """One answer in a dialect."""

    @property
    def id(self) -> str:
        """Id in the request log."""

    @property
    def choices(self) -> int:
        """Number of choices."""

    def whole(self, completion: Completion) -> dict[str, Any]:
        """JSON of an answer that is not streamed."""

    def events(self) -> EventEncoder:
        """Encoder of the answer as a stream."""

    def deltas(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """`stream` without what the client does not want to have."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests of a client to one model or recipe, one for each prompt, and the form of the answer."""

    requests: tuple[GenerateRequest, ...]
    answer: Answer

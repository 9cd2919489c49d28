"""Parts that a batch's run needs beside the batch."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from serving.batches.service import Batches
from serving.batches.slots import Slots
from serving.telemetry import Observer


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """Answer to a line: an HTTP status, its JSON, and the time after which a refused line can be asked again."""

    status: int
    body: bytes
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class LineRequest:
    """A line as the API gets it."""

    owner: str
    endpoint: str
    request_id: str
    body: bytes  # JSON


@dataclass(frozen=True, slots=True)
class RunParts:
    """Parts that all runs of one worker share.

    Attributes:
        batches: the store.
        slots: places for lines in progress.
        answer: answers one line. It does not raise for errors of the request or of an engine: those are answers, too.
        model_check: for an owner and an endpoint, a function that returns a sentence if a model cannot be asked.
        at_once: for an owner, the number of its lines that its limits let be in progress; None: any number.
        max_body_bytes: maximum size of a line.
        observer: receives the ends of lines.
        poll_s: time between two looks at a batch's status.
    """

    batches: Batches
    slots: Slots
    answer: Callable[[LineRequest], Awaitable[LineAnswer]]
    model_check: Callable[[str, str], Awaitable[Callable[[str], str | None]]]
    at_once: Callable[[str], Awaitable[int | None]]
    max_body_bytes: int
    observer: Observer
    poll_s: float = 1.0

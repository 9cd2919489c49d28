"""The interface of tracing: a tracer that starts spans. Without one OpenTelemetry is not imported."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from serving.trace_context import TraceContext

SpanKind = Literal["internal", "client"]
Attributes: TypeAlias = Mapping[str, str | bool | int | float | Sequence[str]]


class Span(ABC):
    """A piece of work that is recorded until `end`."""

    context: TraceContext  # for the work below this span
    started_ns: int  # Unix time

    @abstractmethod
    def set(self, attributes: Attributes) -> None:
        """Add attributes; a later value replaces an earlier one."""

    @abstractmethod
    def rename(self, name: str) -> None:
        """Change the name of the span."""

    @abstractmethod
    def end(self, error: str | None = None) -> None:
        """End the span. `error`: the code of the error by which the work ended (`error.type`)."""


class Tracer(ABC):
    """Starts spans.

    Attributes:
        captures_texts: prompts and answers are put into spans.
    """

    captures_texts: bool = False

    @abstractmethod
    def request(
        self, name: str, caller: TraceContext | None, attributes: Attributes
    ) -> tuple[TraceContext, Span | None]:
        """Start the span of an HTTP request to this server.

        Args:
            name: of the span.
            caller: the client's own span; `None`: it sent none.
            attributes: known at the start.

        Returns:
            The context of the work on the request, and its span; `None` if the trace is not recorded.
        """

    @abstractmethod
    def start(
        self,
        name: str,
        parent: TraceContext | None,
        attributes: Attributes,
        *,
        kind: SpanKind = "internal",
        started_ns: int | None = None,
    ) -> Span | None:
        """Start a span below `parent`; `None` if that trace is not recorded. `started_ns`: Unix time, else now."""

"""Ids of the request that the running task works on, for the server's own logs."""

from contextvars import ContextVar
from dataclasses import dataclass

from serving.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class LogContext:
    """The request's id and its place in a trace; `None`: it has none."""

    request_id: str
    trace: TraceContext | None = None


CURRENT: ContextVar[LogContext | None] = ContextVar("log_context", default=None)

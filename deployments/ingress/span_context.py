"""Parent of the spans that Ray Serve starts for a call of a handle: the span of our own call."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.context import attach, detach

from serving.trace_context import TraceContext
from serving.tracing.otel import context_with

NOTHING = nullcontext()


def below(trace: TraceContext | None) -> AbstractContextManager[None]:
    """Context in which the handle is called: Serve's spans are below `trace`. Around no `await` and no `yield`."""
    return NOTHING if trace is None or not trace.sampled else _attached(trace)


@contextmanager
def _attached(trace: TraceContext) -> Iterator[None]:
    token = attach(context_with(trace))
    try:
        yield
    finally:
        detach(token)

"""Trace of one HTTP request: the client's context in, the server's span, its context out."""

from collections.abc import Mapping

from serving.trace_context import TraceContext
from serving.tracing.spans import Span, Tracer

MAX_PATH_CHARS = 256
TRACED = "/v1/"  # beginning of the paths that are traced; probes and pages are not


class RequestTrace:
    """The place of a request in a trace.

    Attributes:
        context: of the work on the request; `None` if nothing is traced and the client sent none.
        headers: of the response.
    """

    def __init__(self, tracer: Tracer | None, method: str, path: str, given: Mapping[bytes, bytes]) -> None:
        """Start the span of a request with the headers `given`; without `tracer` the client's context is passed on."""
        self.context: TraceContext | None = None
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        self._span: Span | None = None
        self._method = method
        parent = given.get(b"traceparent")
        if parent is not None:
            state = given.get(b"tracestate", b"")
            self.context = TraceContext.parse(parent.decode("latin-1"), state.decode("latin-1"))
        if tracer is None or not path.startswith(TRACED):
            return
        attributes = {"http.request.method": method, "url.path": path[:MAX_PATH_CHARS], "url.scheme": "http"}
        self.context, self._span = tracer.request(method, self.context, attributes)
        self.headers = ((b"traceparent", self.context.traceparent.encode()),)

    def end(self, *, request_id: str, caller: str, route: str | None, status: int | None, failure: str | None) -> None:
        """End the span.

        Args:
            request_id: of the request, as the client knows it.
            caller: name of its key.
            route: path of the endpoint; `None`: there is none.
            status: of the response; `None`: the client left before it began.
            failure: code of the error by which the request ended; `None`: none.
        """
        if (span := self._span) is None:
            return
        known = {"http.route": route, "http.response.status_code": status}
        span.set(
            {
                "moa.request_id": request_id,
                "moa.key": caller,
                **{name: value for name, value in known.items() if value is not None},
            }
        )
        if route is not None:
            span.rename(f"{self._method} {route}")
        # By the conventions of HTTP servers an error of the client's is none of the server's.
        span.end(failure if failure is not None and (status is None or status < 400 or status >= 500) else None)

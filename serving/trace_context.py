"""Position of a request in a distributed trace, as the headers of W3C Trace Context carry it.

Source: https://www.w3.org/TR/trace-context/. The value travels with a request through engines and processes.
"""

import random
import re
from dataclasses import dataclass
from typing import Self

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
MAX_STATE_CHARS = 512  # of `tracestate`; a longer one is dropped, as the specification allows


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace and the span in it below which work belongs."""

    trace_id: int  # 128 bits, not 0
    span_id: int  # 64 bits, not 0
    sampled: bool = False  # False: the trace is not recorded
    state: str = ""  # `tracestate`: values of tracing systems

    @classmethod
    def parse(cls, traceparent: str, tracestate: str = "") -> Self | None:
        """Context of these headers; `None` if `traceparent` is not valid."""
        found = TRACEPARENT.fullmatch(traceparent.strip())
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
            return None
        state = tracestate.strip() if len(tracestate) <= MAX_STATE_CHARS else ""
        return cls(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & 1), state if state.isprintable() else "")

    @classmethod
    def unsampled(cls, trace_id: int | None = None) -> Self:
        """Context of a trace that is not recorded. `trace_id`: the caller's; `None`: a new one, which is no secret."""
        return cls(trace_id or random.getrandbits(128) or 1, random.getrandbits(64) or 1)

    @property
    def trace(self) -> str:
        """Trace id, 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"

    @property
    def span(self) -> str:
        """Span id, 16 hexadecimal digits."""
        return f"{self.span_id:016x}"

    @property
    def traceparent(self) -> str:
        """Value of the header `traceparent`."""
        return f"00-{self.trace}-{self.span}-{'01' if self.sampled else '00'}"

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a request to another server."""
        state = {"tracestate": self.state} if self.state else {}
        return {"traceparent": self.traceparent, **state}

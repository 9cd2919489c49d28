"""The headers of W3C Trace Context."""

import pickle

import pytest

from serving.trace_context import MAX_STATE_CHARS, TraceContext
from serving.types import GenerateRequest

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_header_is_read_and_written(flags: str) -> None:
    header = f"00-{TRACE}-{SPAN}-{flags}"
    found = TraceContext.parse(header, "vendor=1")
    assert found is not None
    assert (found.trace, found.span, found.sampled) == (TRACE, SPAN, flags == "01")
    assert found.headers == {"traceparent": header, "tracestate": "vendor=1"}
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-xy",
    ],
)
def test_an_invalid_header_is_none(header: str) -> None:
    assert TraceContext.parse(header) is None


def test_a_later_version_may_have_more() -> None:
    found = TraceContext.parse(f"01-{TRACE}-{SPAN}-03-more")
    assert found is not None
    assert found.traceparent == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("state", ["x" * (MAX_STATE_CHARS + 1), "a=1\r\nx: y"])
def test_a_state_that_cannot_be_a_header_is_dropped(state: str) -> None:
    found = TraceContext.parse(f"00-{TRACE}-{SPAN}-01", state)
    assert found is not None
    assert found.state == ""


def test_a_trace_that_is_not_recorded_has_ids_of_its_own() -> None:
    one, other = TraceContext.unsampled(), TraceContext.unsampled()
    assert not one.sampled
    assert one.trace_id != other.trace_id
    assert TraceContext.unsampled(7).trace_id == 7


def test_a_request_is_the_same_in_any_trace() -> None:
    """Caches and shared calls compare requests, by `==` and by `repr`."""
    plain = GenerateRequest("r", ())
    traced = GenerateRequest("r", (), trace=TraceContext.unsampled())
    assert plain == traced
    assert repr(plain) == repr(traced)

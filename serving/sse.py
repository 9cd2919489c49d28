"""Server-sent events: what the API writes, and a parser of the standard's streams. All SSE text is in this file."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import NamedTuple

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold tokens back
)
START = b"data: "
END = b"\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
DONE_DATA = b"[DONE]"
BOM = b"\xef\xbb\xbf"
LIMIT_BYTES = 16 * 2**20  # of one event
MAX_NAME_BYTES = 256  # that are kept of an event's name


def event(data: bytes) -> bytes:
    """One event. `data` is one line: JSON escapes the line ends inside it."""
    return START + data + END


def named_event(name: bytes, data: bytes) -> bytes:
    """One event with a name, for the dialects that name their events."""
    return b"event: " + name + b"\n" + START + data + END


class EventTooLong(ValueError):
    """An event is longer than its limit."""


class Event(NamedTuple):
    """One event. `data` joins its `data` lines by LF; `name` is that of its `event` line, "" without one."""

    data: bytes
    name: str = ""


class EventParser:
    """Incremental parser of a byte stream that may be cut anywhere. It does no input or output.

    It follows the standard: lines end with LF, CR LF or CR; a byte order mark at the start, comments and the fields
    `id` and `retry`, which only a reader that connects again could use, are skipped. An event that no empty line ended
    is never returned. Each byte is looked at once, however the stream is cut.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        """Hold at most `limit_bytes` of one event, its unfinished line included."""
        self._limit_bytes = limit_bytes
        self._line = bytearray()  # begun, not ended
        self._data: list[bytes] = []  # of the event that is not ended
        self._data_bytes = 0  # with one for the end of each line
        self._name = ""
        self._after_cr = False  # an LF at the start of the next chunk belongs to that CR
        self._first = True  # no line has ended yet

    def feed(self, chunk: bytes) -> list[Event]:
        """Add bytes; return the events that they end.

        Raises:
            EventTooLong: an event is longer than `limit_bytes`.
        """
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        ended: list[Event] = []
        for piece in chunk.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            self._check(len(self._line) + len(line))  # before anything is copied
            if len(line) == len(piece):
                self._line += line
                break
            if self._line:
                line = bytes(self._line + line)
                self._line.clear()
            if self._first:
                self._first, line = False, line.removeprefix(BOM)
            if line:
                self._field(line)
            elif self._data:
                ended.append(Event(b"\n".join(self._data), self._name))
            if not line:
                self._data, self._data_bytes, self._name = [], 0, ""
        return ended

    def _field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data_bytes += len(value) + 1
            self._data.append(value)
        elif field == b"event":
            self._name = value[:MAX_NAME_BYTES].decode("utf-8", "replace")

    def _check(self, line_bytes: int) -> None:
        if self._data_bytes + line_bytes > self._limit_bytes:
            raise EventTooLong(f"an event is longer than {self._limit_bytes} bytes")


async def events(chunks: AsyncIterable[bytes], limit_bytes: int = LIMIT_BYTES) -> AsyncGenerator[Event, None]:
    """The events in a byte stream; see `EventParser`.

    Raises:
        EventTooLong: an event is longer than `limit_bytes`.
    """
    parser = EventParser(limit_bytes)
    async for chunk in chunks:
        for one in parser.feed(chunk):
            yield one

"""Server-sent events, as OpenAI's API uses them: `data:` lines and comments. All SSE text is in this file."""

from collections.abc import AsyncGenerator, AsyncIterable

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


def event(data: bytes) -> bytes:
    """One event. `data` is one line: JSON escapes the line ends inside it."""
    return START + data + END


def named_event(name: bytes, data: bytes) -> bytes:
    """One event with a name, for the dialects that name their events."""
    return b"event: " + name + b"\n" + START + data + END


class EventParser:
    """Incremental parser of a byte stream that may be cut anywhere. It does no input or output.

    Lines end with LF, CR LF or CR, as in the standard. Comments and fields other than `data` are skipped. An event
    that no empty line ended is never returned.
    """

    def __init__(self, limit_bytes: int = 16 * 2**20) -> None:
        self._limit_bytes = limit_bytes
        self._line = b""  # begun, not ended
        self._data: list[bytes] = []  # of the event that is not ended
        self._data_bytes = 0
        self._after_cr = False  # an LF at the start of the next chunk belongs to that CR

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add bytes; return the data of each event that they end.

        Raises:
            ValueError: an event is longer than `limit_bytes`.
        """
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        lines = (self._line + chunk).splitlines(keepends=True)
        self._line = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        self._check(len(self._line))
        ended: list[bytes] = []
        for line in lines:
            line = line.rstrip(b"\r\n")
            if not line and self._data:
                ended.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
            elif line.startswith(b"data:"):
                value = line[5:].removeprefix(b" ")
                self._data_bytes += len(value)
                self._check(self._data_bytes)
                self._data.append(value)
        return ended

    def _check(self, event_bytes: int) -> None:
        if event_bytes > self._limit_bytes:
            raise ValueError(f"an event is longer than {self._limit_bytes} bytes")


async def events(chunks: AsyncIterable[bytes], limit_bytes: int = 16 * 2**20) -> AsyncGenerator[bytes, None]:
    """The data of each event in a byte stream; see `EventParser`.

    Raises:
        ValueError: an event is longer than `limit_bytes`.
    """
    parser = EventParser(limit_bytes)
    async for chunk in chunks:
        for data in parser.feed(chunk):
            yield data

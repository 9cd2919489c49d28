"""Formats and sizes of images, read from the beginnings of their files; nothing is decoded.

Formats: PNG (W3C PNG, 5.2 and 11.2.1), JPEG (ITU T.81, annex B), GIF (GIF89a, 17 and 18), WebP (RFC 9649, 2).
"""

from collections.abc import Callable, Iterator, Mapping

Size = tuple[int, int]  # width and height in pixels

PNG, JPEG, GIF, WEBP = "image/png", "image/jpeg", "image/gif", "image/webp"
PNG_START = b"\x89PNG\r\n\x1a\n"
# JPEG markers: frames, which have the size; and markers that no length follows.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
BARE = frozenset({0x01, *range(0xD0, 0xD9)})
SCAN, END = 0xDA, 0xD9  # behind them there is no header any more


def format_of(data: bytes) -> str | None:
    """Media type of an image by its first bytes; None if it is of no known format."""
    if data.startswith(PNG_START):
        return PNG
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    return None


def size_of(data: bytes) -> Size | None:
    """Width and height of an image in pixels; None if its header is damaged or cut off."""
    kind = format_of(data)
    found = READERS[kind](data) if kind is not None else None
    return found if found is not None and min(found) > 0 else None


def _png(data: bytes) -> Size | None:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _gif(data: bytes) -> Size | None:
    if len(data) < 10:
        return None
    return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")


def _webp(data: bytes) -> Size | None:
    if len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _jpeg(data: bytes) -> Size | None:
    for marker, place in _segments(data):
        if marker in FRAMES and place + 7 <= len(data):
            height, width = (int.from_bytes(data[at : at + 2]) for at in (place + 3, place + 5))
            return width, height
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker of each header segment of a JPEG, and the place of its length."""
    place = 2
    while place + 2 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in (SCAN, END):
            return
        place += 2
        if marker in BARE:
            continue
        yield marker, place
        length = int.from_bytes(data[place : place + 2])
        if length < 2:
            return
        place += length


READERS: Mapping[str, Callable[[bytes], Size | None]] = {PNG: _png, JPEG: _jpeg, GIF: _gif, WEBP: _webp}

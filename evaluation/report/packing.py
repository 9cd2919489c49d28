"""Compressed parts of a page: gzip in base64, which `templates/unpack.js` reads."""

import base64
import gzip

LEVEL = 9


def packed(content: bytes) -> str:
    """Compress; equal contents have equal texts."""
    return base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode()


def unpacked(text: str) -> bytes:
    """Return the content that `packed` compressed."""
    return gzip.decompress(base64.b64decode(text))

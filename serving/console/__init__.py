"""The console: a web page that shows the team at work. Static files, read once, with their HTTP headers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
CONTENT_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# The page runs its own scripts and styles and asks its own server, and nothing else.
CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """Body and headers of one file. `no-cache`: browsers ask each time and get 304 while `etag` is the same."""

    body: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]


@cache
def files() -> Mapping[str, StaticFile]:
    """Files of the console by URL path: `/console` is the page, the others are below `/console/`."""
    found: dict[str, StaticFile] = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix not in CONTENT_TYPES:
            continue
        body = path.read_bytes()
        etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        headers = (
            (b"content-type", CONTENT_TYPES[path.suffix]),
            (b"cache-control", b"no-cache"),
            (b"etag", etag),
            (b"content-security-policy", CONTENT_SECURITY_POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        )
        found["/console" if path.name == "index.html" else f"/console/{path.name}"] = StaticFile(body, etag, headers)
    return found

"""Types of command line options: each refuses a wrong value with one sentence."""

import argparse
import ipaddress
import math
from urllib.parse import urlsplit


def share(text: str) -> float:
    """Parse 0.8 or 80%. Raises `argparse.ArgumentTypeError`."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1, or between 0% and 100%")
    return value


def names(text: str) -> list[str]:
    """Parse a comma-separated list. Raises `argparse.ArgumentTypeError` if it has no name."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("must be one or more names, separated by commas")
    return found


def name(text: str) -> str:
    """Parse a name. Raises `argparse.ArgumentTypeError` if it is blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text.strip()


def url(text: str) -> str:
    """Parse the root of a server. Raises `argparse.ArgumentTypeError`."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets, or a port
        parts, good = None, False
    if not good or parts is None or any(char.isspace() or not char.isprintable() for char in text):
        raise argparse.ArgumentTypeError(f"must be a URL such as {_suggested(text)}")
    if parts.query or parts.fragment:
        raise argparse.ArgumentTypeError("must end with the host, the port or a path, without '?' and '#'")
    return text


def _suggested(text: str) -> str:
    """A URL for an address without a scheme or without brackets; else an example."""
    host = text.partition("://")[2] or text
    before, _, last = host.rpartition(":")
    for address, port in ((before, last if last.isdecimal() and len(last) >= 4 else ""), (host, "8000")):
        try:
            if port and ipaddress.ip_address(address).version == 6:
                return f"http://[{address}]:{port}"
        except ValueError:
            continue
    return "http://127.0.0.1:8000"

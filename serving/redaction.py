"""Secrets kept out of logs and messages: known API keys, credentials in headers, passwords in URLs."""

import re

REDACTED = "[redacted]"
MIN_KEY_CHARS = 8  # a shorter one may be a word, such as "none", which would then be missing everywhere
CREDENTIALS = (
    # `authorization: Bearer KEY`, as headers, JSON and Python's `repr` of either write it
    re.compile(
        r"((?:proxy-)?authorization|x-api-key)"
        r"(['\"]?\s*[:=,]\s*(?:b?['\"])?)(?!\s)[^'\"\r\n,}\])]+",
        re.IGNORECASE,
    ),
    re.compile(r"\b(bearer)(\s+)[^\s'\",;)\]}\\]+", re.IGNORECASE),
    re.compile(r"\b(moa-[a-z2-7]{12})(-)[a-z2-7]{16,}"),  # a key of the store; its beginning is no secret
    re.compile(r"\b([a-z][a-z0-9+.-]*)(://)[^\s/@'\"]+(?=@)", re.IGNORECASE),
)


class InvalidKey(ValueError):
    """A key cannot be used; the message says why, without the key, as what follows its name."""


_known: set[str] = set()  # of this process, as texts and as `repr` writes them


def keep_secret(key: str) -> None:
    """Have `redacted` replace `key` in every text from now on."""
    if len(key) >= MIN_KEY_CHARS:
        _known.update((key, repr(key)[1:-1]))


def redacted(text: str) -> str:
    """`text` without secrets: known keys, authorization headers, bearer tokens and the user parts of URLs."""
    for key in sorted(_known, key=len, reverse=True):  # a key may contain another
        text = text.replace(key, REDACTED)
    for pattern in CREDENTIALS:
        text = pattern.sub(rf"\1\2{REDACTED}", text)
    return text


def check_key(key: str) -> str:
    """`key` without white space around it, if it can be the value of a header; it is then kept secret.

    Raises:
        InvalidKey: it is empty, has several lines or other characters than printable ASCII. The message is without it.
    """
    key = key.strip()
    if not key:
        raise InvalidKey("is empty")
    if len(key.splitlines()) > 1:
        raise InvalidKey(f"has {len(key.splitlines())} lines, not one")
    if not (key.isascii() and key.isprintable()):
        raise InvalidKey("has characters other than printable ASCII")
    keep_secret(key)
    return key

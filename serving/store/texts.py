"""Texts that both databases can store. PostgreSQL takes neither NUL nor lone surrogates."""


def storable(text: str) -> bool:
    """True if both databases can store `text`. An id or a name for which this is false belongs to no row."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def made_storable(text: str) -> str:
    """`text` without NUL, and with a question mark for each lone surrogate."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()

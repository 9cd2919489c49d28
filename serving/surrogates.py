"""Halves of UTF-16's surrogate pairs: characters that no text may have alone, and that UTF-8 cannot encode."""

import re

SURROGATE = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def well_formed(text: str) -> str:
    """`text` with pairs of surrogates as the character that they are, and U+FFFD for each that is alone."""
    if text.isascii() or SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    """Makes pieces of a text well-formed, of which one may end between the halves of a pair."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""  # the first half of a pair, if the last piece ended with it

    def feed(self, piece: str) -> str:
        """The next piece, well-formed. The first half of a pair at its end is kept back until the second arrives."""
        if not self._half and piece.isascii():
            return piece
        text, self._half = self._half + piece, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return well_formed(text)

    def flush(self) -> str:
        """U+FFFD for a half that is still kept back; "" otherwise."""
        half, self._half = self._half, ""
        return REPLACEMENT if half else ""

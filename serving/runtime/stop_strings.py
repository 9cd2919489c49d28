"""The caller's stop strings in an answer that several calls write: one may begin in a call and end in the next."""

from collections.abc import Sequence


class StopStrings:
    """Finds the first stop string in a text that comes in pieces, and holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str], *, included: bool = False) -> None:
        """Search for `stops`; `included`: the text ends with the one that was found."""
        self._stops, self._included = [stop for stop in stops if stop], included
        self._held = ""

    def add(self, piece: str) -> tuple[str, str | None]:
        """Take the next piece: text that can be shown now, and the stop string that ends it; None: it goes on."""
        text = self._held + piece
        ends = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if ends:
            place, stop = min(ends, key=lambda end: (end[0] + len(end[1]), end[0]))  # the first one that is complete
            self._held = ""
            return text[: place + len(stop) * self._included], stop
        held = max((self._beginning(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], None

    def rest(self) -> str:
        """Text that was held back, once nothing follows."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _beginning(text: str, stop: str) -> int:
        """Length of the longest end of `text` with which `stop` begins."""
        return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)

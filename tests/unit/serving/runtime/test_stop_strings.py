"""Stop strings in a text that comes in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.runtime.stop_strings import StopStrings

TEXTS = st.text("ab", max_size=12)


def found(stops: list[str], pieces: list[str], *, included: bool = False) -> tuple[str, str | None]:
    """All text that is shown, and the stop that ended it."""
    search = StopStrings(stops, included=included)
    shown = ""
    for piece in pieces:
        text, stop = search.add(piece)
        shown += text
        if stop is not None:
            return shown, stop
    return shown + search.rest(), None


@given(st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.lists(TEXTS, max_size=6), st.booleans())
def test_pieces_make_no_difference(stops: list[str], pieces: list[str], included: bool) -> None:
    text = "".join(pieces)
    assert found(stops, [*text], included=included) == found(stops, pieces_of(text, stops), included=included)
    shown, stop = found(stops, pieces, included=included)
    if stop is None:
        assert shown == text
        assert not any(one in text for one in stops)
    else:
        assert text.startswith(shown)
        assert (stop in shown) or not included


def pieces_of(text: str, stops: list[str]) -> list[str]:
    """`text` up to the end of the first stop string that is complete, then the rest: two pieces."""
    ends = [place + len(stop) for stop in stops if (place := text.find(stop)) >= 0]
    return [text[: min(ends)], text[min(ends) :]] if ends else [text]


def test_what_may_begin_a_stop_is_held_back() -> None:
    search = StopStrings(["END"])
    assert search.add("The E") == ("The ", None)
    assert search.add("N") == ("", None)
    assert search.add("tire") == ("ENtire", None)
    assert search.add(" EN") == (" ", None)
    assert search.add("D of it") == ("", "END")


@pytest.mark.parametrize("stops", [[], [""]])
def test_without_stops_nothing_is_held_back(stops: list[str]) -> None:
    assert StopStrings(stops).add("text") == ("text", None)

"""Structure of a JSON text, counted before it is parsed: keys and other strings, objects and lists.

They are the cost of parsing, which holds Python's interpreter lock until all of them are made: 1.4 million empty lists
fit into 4 MiB and take 0.8 s, in which no other request advances. Numbers and literals take a tenth of that, and are
not counted.
"""

import gc
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

CONTAINERS = frozenset((dict, list))
_PAUSE = threading.Lock()


def upper_bound(text: bytes) -> int:
    """Count strings, objects and lists, with the quotes and brackets within strings among them."""
    return (text.count(b'"') + 1) // 2 + text.count(b"[") + text.count(b"{")


def count_values(text: bytes, enough: int) -> int:
    """Count strings, objects and lists, in time linear in the text.

    Args:
        text: JSON. If it is not valid, the count is at least that of the text before the first mistake.
        enough: the count may stop beyond this number, and is a lower bound then.
    """
    # Pairs of backslashes first: a quote behind them is not escaped.
    text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    strings = (text.count(b'"') + 1) // 2
    if strings > enough:
        return strings
    outside = b"".join(text.split(b'"')[::2])
    return strings + outside.count(b"[") + outside.count(b"{")


def has_more_values(text: bytes, limit: int) -> bool:
    """True if the text has more than `limit` strings, objects and lists."""
    return upper_bound(text) > limit and count_values(text, limit) > limit


def levels(value: Any) -> Iterator[list[dict[str, Any] | list[Any]]]:
    """Objects and lists of each level of a parsed value, from the outermost.

    Fast where there are many others: a list of two million numbers takes a fifth of the time of a loop over them.
    """
    level = [value] if type(value) in CONTAINERS else []
    while level:
        yield level
        inner: list[dict[str, Any] | list[Any]] = []
        for one in level:
            values: Collection[Any] = one.values() if isinstance(one, dict) else one
            if not CONTAINERS.isdisjoint(map(type, values)):
                inner += [each for each in values if type(each) in CONTAINERS]
        level = inner


def is_deeper(value: Any, depth: int) -> bool:
    """True if objects and lists are nested in more than `depth` levels."""
    return any(count > depth for count, _ in enumerate(levels(value), start=1))


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause Python's garbage collector: looking through new lists takes it 6 times as long as parsing them.

    One thread at a time: another one that began meanwhile would find the collector paused, and could leave it so. A
    block that only parses waits for nothing, since the interpreter lock lets no two parse at the same time.
    """
    with _PAUSE:
        running = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if running:
                gc.enable()

"""Ctrl-C while a server on this machine stops."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

SAME_S = 2.0  # Ctrl-C comes twice: from the terminal and from `deployments.start`, which cannot know of the first


def interrupt_once(before: Callable[[], None] = lambda: None) -> None:
    """Let the first SIGINT call `before`, then raise `KeyboardInterrupt` in this process; ignore all later ones.

    A later one would end the process before it has stopped its cluster. While `before` runs, one that comes after
    `SAME_S` ends it. Without effect outside of the main thread, and where SIGINT is ignored or handled already.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def first(number: int, frame: FrameType | None) -> None:
        began = time.monotonic()

        def again(number: int, frame: FrameType | None) -> None:
            if time.monotonic() - began > SAME_S:
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, again)
        try:
            before()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, first)

"""Ctrl-C while a server on this machine stops."""

import signal
import threading
from types import FrameType


def interrupt_once() -> None:
    """Let the first SIGINT raise `KeyboardInterrupt` in this process, and ignore all later ones.

    A second one would end the process before it has stopped its cluster. Ctrl-C reaches a server twice: from the
    terminal, and from `deployments.start`, which cannot know that. Without effect outside of the main thread, and where
    SIGINT is ignored or handled already.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _first)


def _first(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt

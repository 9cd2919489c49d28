"""Ctrl-C that reaches a process twice, in a process of its own, and the signal handler that is left alone."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from deployments.cluster.interrupts import interrupt_once

TWICE = """
import os, signal
from deployments.cluster.interrupts import interrupt_once
interrupt_once()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGINT)
    print("stopped")
"""


def test_a_second_interrupt_is_ignored() -> None:
    # A background job's SIGINT is ignored, and a test may run in one.
    ended = subprocess.run(
        [sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=60, preexec_fn=_accept_interrupts
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped\n", "")


BEFORE = """
import os, signal, sys, time
from deployments.cluster import interrupts

interrupts.SAME_S = float(sys.argv[1])

def before():
    print("before")
    os.kill(os.getpid(), signal.SIGINT)
    print("waited")

interrupts.interrupt_once(before)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize(("same_s", "said"), [("60", "before\nwaited\nstopped\n"), ("0", "before\nstopped\n")])
def test_what_comes_before_the_end_is_ended_by_a_later_interrupt_only(same_s: str, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BEFORE, same_s],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=_accept_interrupts,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")


def _accept_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_handler_that_is_there_already_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt_once()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=interrupt_once)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before

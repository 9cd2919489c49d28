"""The admin socket that Ray uses, answered by HAProxy under the supervisor's process id.

Ray takes a HAProxy for started only if it names the process id of the program that Ray started.
"""

import os
import re
import socket
import sys
import threading
import time

from .node import TIMEOUT_S, Node

PATIENCE_S, POLL_S = 3.0, 0.05  # Ray waits 5 s


class AdminSocket:
    """Listens at Ray's path and hands each command on to HAProxy."""

    def __init__(self, path: str, node: Node) -> None:
        self._node = node
        draft = f"{path[: path.rindex('/')]}/{os.getpid()}.s"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(draft)
        os.chmod(draft, 0o666)
        self._listener.listen(64)
        os.rename(draft, path)  # at once: the socket of the supervisor before answers until now
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        failed: str | None = ""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:  # as without a free file descriptor: the thread must survive it, others are closed
                if (why := error.strerror) != failed:
                    print(f"The admin socket accepts no connection: {why}; trying again.", file=sys.stderr, flush=True)
                failed = why
                time.sleep(POLL_S)
                continue
            failed = ""
            with connection:
                try:
                    connection.settimeout(TIMEOUT_S)
                    connection.sendall(self._answer(command_from(connection)))
                except OSError:
                    continue  # a caller that left, or sends nothing

    def _answer(self, command: bytes) -> bytes:
        """HAProxy's answer, also of the one that is being started in the place of a dead one."""
        ends_at = time.monotonic() + PATIENCE_S
        while not (answer := self._node.ask(command)) and time.monotonic() < ends_at:
            time.sleep(POLL_S)
        return re.sub(rb"^Pid: \d+$", b"Pid: %d" % os.getpid(), answer, count=1, flags=re.MULTILINE)


def command_from(connection: socket.socket) -> bytes:
    """A line."""
    line = b""
    while not line.endswith(b"\n") and (piece := connection.recv(4096)):
        line += piece
    return line

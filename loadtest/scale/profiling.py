"""CPU profile of an orchestrator replica under load, sampled by py-spy from another process."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from loadtest.errors import LoadError

RATE_HZ = 200
# Owner of a sample: from the innermost frame outwards, the first entry whose text is in the frame's path.
OWNERS: tuple[tuple[str, str], ...] = (
    ("this server: API", "serving/api/"),
    ("this server: events", "serving/sse"),
    ("this server: recipes and orchestrator", "serving/"),
    ("this server: Ray's side", "deployments/"),
    ("Ray Serve", "ray/serve/"),
    ("Ray", "ray/"),
    ("HTTP server", "uvicorn/"),
    ("HTTP server", "starlette/"),
)
OTHER = "event loop and the rest"
_FRAME = re.compile(r"^(?P<function>.+) \((?P<path>[^()]*?)(?::\d+)?\)$")


def record(pid: int, seconds: float, out: Path) -> "subprocess.Popen[bytes]":
    """Start sampling for `seconds`. `out` then has one line per stack: frames from the outermost, and the count.

    Raises:
        LoadError: py-spy is not installed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--format", "raw"]
    options = ["--duration", str(max(round(seconds), 1)), "--rate", str(RATE_HZ), "--output", str(out)]
    try:
        return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise LoadError("py-spy is not installed; install the 'loadtest' extra.") from None


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Share of each owner in the samples of the busy process, the largest first."""
    samples: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        if count.isdigit() and stack:
            samples[owner(stack.split(";"))] += int(count)
    total = samples.total()
    return {name: count / total for name, count in samples.most_common()} if total else {}


def owner(frames: list[str]) -> str:
    """Owner of a stack. Frames of the standard library belong to their caller."""
    for frame in reversed(frames):
        match = _FRAME.match(frame)
        path = match["path"] if match else frame
        for name, text in OWNERS:
            if text in path:
                return name
    return OTHER

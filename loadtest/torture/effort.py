"""Amount of work of one run, and where it writes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Effort:
    """Choices of the command line that parts read."""

    short: bool = False  # fewer repetitions; the same promises
    fuzz_s: float = 60.0  # time of each fuzzer, seconds
    out: Path = Path("build/torture")  # folder of logs and results
    say: Callable[[str], None] = field(default=print)  # shows progress

    def count(self, full: int, short: int) -> int:
        """Number of repetitions."""
        return short if self.short else full

"""How many requests are worked on at once, and read. A permit travels with the work and lives exactly as long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serving.errors import Overloaded

IN_FLIGHT = 256  # where nobody knows what the engines can hold


class Admission:
    """Beyond `limit` nobody waits in line here: a caller that is told at once can go elsewhere."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        self.limit, self.retry_after_s = limit, retry_after_s
        self.in_flight = 0

    def check(self) -> None:
        """Raise `Overloaded` when there is no place; for before the costly reading of a body."""
        if self.in_flight >= self.limit:
            raise Overloaded(
                f"The server is working on {self.in_flight} requests, as many as it takes; try again later.",
                self.retry_after_s,
            )

    @contextmanager
    def permit(self) -> Iterator[None]:
        """One place, for as long as the block runs; raises `Overloaded` when there is none."""
        self.check()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


class Intake:
    """Counts the bytes of bodies that are no requests yet, over all connections: places are given only later."""

    def __init__(self, limit_bytes: int, retry_after_s: float) -> None:
        self.limit_bytes, self.retry_after_s = limit_bytes, retry_after_s
        self.held_bytes = 0

    @contextmanager
    def body(self) -> Iterator[Callable[[int], None]]:
        """To be told of every piece of one body as it comes; the pieces are forgotten when the block ends.

        What it gives raises `Overloaded` when too much is held.
        """
        own_bytes = 0

        def take(size_bytes: int) -> None:
            nonlocal own_bytes
            own_bytes += size_bytes
            self.held_bytes += size_bytes
            if self.held_bytes > self.limit_bytes:
                raise Overloaded(
                    "The server is reading as many requests as it can; try again later.", self.retry_after_s
                )

        try:
            yield take
        finally:
            self.held_bytes -= own_bytes

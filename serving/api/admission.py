"""Admission control: limits on the requests in progress and on the request bodies being read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serving.errors import Overloaded

IN_FLIGHT = 256  # limit if the capacity of the engines is unknown


class Admission:
    """Limit on the requests in progress. There is no queue: a caller refused at once can try another server."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        """Admit `limit` requests at a time; refusals tell the caller to wait `retry_after_s`."""
        self.limit, self.retry_after_s = limit, retry_after_s
        self.in_flight = 0

    def check(self) -> None:
        """Raise `Overloaded` if the limit is reached: cheaper than reading the body first."""
        if self.in_flight >= self.limit:
            raise Overloaded(
                f"The server is answering {self.in_flight} requests, its limit; try again later.",
                self.retry_after_s,
            )

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Count one request in progress while the block runs. Raises `Overloaded` if the limit is reached."""
        self.check()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


class BodyBudget:
    """Limit on the bytes of request bodies being read, over all connections; admission comes only after parsing."""

    def __init__(self, limit_bytes: int, retry_after_s: float) -> None:
        """Hold at most `limit_bytes` at a time; refusals tell the caller to wait `retry_after_s`."""
        self.limit_bytes, self.retry_after_s = limit_bytes, retry_after_s
        self.held_bytes = 0

    @contextmanager
    def body(self) -> Iterator[Callable[[int], None]]:
        """Count one body while the block runs.

        Yields:
            A function to call with the size of each piece that arrives; it raises `Overloaded` beyond the limit.
        """
        own_bytes = 0

        def add(size_bytes: int) -> None:
            nonlocal own_bytes
            own_bytes += size_bytes
            self.held_bytes += size_bytes
            if self.held_bytes > self.limit_bytes:
                raise Overloaded("The server is reading too many request bodies; try again later.", self.retry_after_s)

        try:
            yield add
        finally:
            self.held_bytes -= own_bytes

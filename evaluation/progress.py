"""Progress bars of the commands."""

from types import TracebackType
from typing import Any, Self

from tqdm import tqdm


class Bar:
    """Progress bar of one step, created once the amount of work is known. Use as a context manager."""

    def __init__(self, unit: str, title: str | None = None) -> None:
        self._unit, self._title, self._failed = unit, title, 0
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def start(self, total: int, kept: int) -> None:
        """Show the bar; `kept` of `total` are done already."""
        self._bar = tqdm(total=total, initial=kept, unit=self._unit, desc=self._title, dynamic_ncols=True)

    def step(self, count: int = 1, *, failed: bool = False, label: str = "") -> None:
        """Count finished work, and show the label of the last of it."""
        self._failed += failed
        if self._bar is None:
            return
        self._bar.set_postfix_str(", ".join(filter(None, [label, f"{self._failed} failed" if self._failed else ""])))
        self._bar.update(count)

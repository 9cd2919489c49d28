"""Row of the report: one promise with its figure, its limit and the verdict."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One promise, as measured."""

    promise: str
    figure: str  # the measured values, with units
    limit: str  # as words
    kept: bool | None  # None: not measured
    note: str = ""  # why it is red or was not measured, or a condition of the figure

    @property
    def verdict(self) -> str:
        """The verdict as one word."""
        return {True: "green", False: "RED", None: "not measured"}[self.kept]

    @property
    def measured(self) -> str:
        """The figure with its note, as sentences."""
        return ". ".join(text.rstrip(".") for text in (self.figure, self.note) if text) + "."


def quantiles(values_s: list[float]) -> str:
    """Median, 99th percentile and maximum of durations, as milliseconds."""
    ordered = sorted(values_s)
    return f"p50 {_ms(ordered, 0.5)}, p99 {_ms(ordered, 0.99)}, max {_ms(ordered, 1)} ms"


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


def _ms(ordered: list[float], share: float) -> str:
    value = quantile(ordered, share) * 1000
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"

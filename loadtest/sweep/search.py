"""Search for the highest rate that meets an SLO: doubling until one misses it, then bisection between the two."""

from dataclasses import dataclass

BRACKET_STEPS = 6  # halvings below the first rate before the search gives up
SIGNIFICANT_DIGITS = 4  # of a rate


@dataclass(slots=True)
class Search:
    """State of the search. Rates are requests per second.

    It assumes that a rate above one that misses the SLO misses it too: each rate is tried once.
    """

    start: float  # first rate
    most: float  # no rate above it is tried
    precision: float  # ends when the missed rate is at most this share above the met one
    met: float | None = None  # highest rate that met the SLO
    missed: float | None = None  # lowest rate that missed it

    @property
    def least(self) -> float:
        """No rate below it is tried."""
        return _rounded(self.start / 2**BRACKET_STEPS)

    @property
    def next_rate(self) -> float | None:
        """Rate to try next; None at the end."""
        if self.missed is None:
            if self.met is None:
                return min(self.start, self.most)
            return None if self.met >= self.most else min(_rounded(self.met * 2), self.most)
        if self.met is None:
            return None if self.missed <= self.least else max(_rounded(self.missed / 2), self.least)
        if self.missed <= self.met * (1 + self.precision):
            return None
        between = _rounded((self.met + self.missed) / 2)
        return between if self.met < between < self.missed else None

    def record(self, rate: float, *, met: bool) -> None:
        """Add the outcome of `next_rate`."""
        if met:
            self.met = rate
        else:
            self.missed = rate

    @property
    def outcome(self) -> str:
        """Result of the search in words."""
        if self.met is None:
            if self.missed is None:
                return "No rate was measured."
            return f"No rate met the SLO: the lowest that was tried is {self.missed:g} requests/s."
        if self.missed is None:
            return f"At least {self.met:g} requests/s meet the SLO: no rate that was tried missed it."
        return f"Highest rate that met the SLO: {self.met:g} requests/s; {self.missed:g} missed it."


def _rounded(rate: float) -> float:
    return float(f"{rate:.{SIGNIFICANT_DIGITS}g}")

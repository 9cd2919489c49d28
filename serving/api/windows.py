"""Windows of limits: minutes, days and months of the clock, in UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

MINUTE_S = 60.0
LATE_S = 3600.0  # beyond the end of a day or month, for requests that began in it

Unit = Literal["minute", "day", "month"]


@dataclass(frozen=True, slots=True)
class Window:
    """One minute, day or month.

    Attributes:
        unit: its kind.
        name: of it among those of its kind: a day 2026-11-29, a month 2026-11, the number of a minute.
        ends_at: Unix time in seconds.
    """

    unit: Unit
    name: str
    ends_at: float

    def left_s(self, now: float) -> float:
        """Seconds to its end; at least one."""
        return max(1.0, self.ends_at - now)

    def ttl_s(self, now: float) -> float:
        """Lifetime of a counter of it that begins now."""
        return self.left_s(now) + (MINUTE_S if self.unit == "minute" else LATE_S)


def minute_of(now: float) -> Window:
    """The minute in which `now` is."""
    number = int(now // MINUTE_S)
    return Window("minute", str(number), (number + 1) * MINUTE_S)


def day_of(now: float) -> Window:
    """The day in which `now` is."""
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window("day", f"{midnight:%Y-%m-%d}", (midnight + timedelta(days=1)).timestamp())


def month_of(now: float) -> Window:
    """The month in which `now` is."""
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=31)).replace(day=1)
    return Window("month", f"{first:%Y-%m}", following.timestamp())

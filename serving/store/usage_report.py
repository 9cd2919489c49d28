"""Usage of a day, a week or a month: its values and their JSON."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from serving.store.record_values import month_of

Dimension = Literal["model", "proposer", "role", "recipe", "key", "day"]  # "proposer": models in that role alone
PeriodName = Literal["day", "week", "month"]
DIMENSIONS: tuple[Dimension, ...] = ("model", "proposer", "role", "recipe", "key", "day")
PERIODS: tuple[PeriodName, ...] = ("day", "week", "month")


def parse_day(text: str) -> datetime.date:
    """Date of a text such as `2026-11-30`. Raises `ValueError` if it is none, or not of the years 2000 to 2999."""
    day = datetime.date.fromisoformat(text)
    if not 2000 <= day.year < 3000:
        raise ValueError
    return day


@dataclass(frozen=True, slots=True)
class Period:
    """Days in UTC, from `first` to the day before `end`; both are dates such as `2026-11-30`."""

    name: PeriodName
    first: str
    end: str

    @classmethod
    def around(cls, name: PeriodName, day: datetime.date) -> "Period":
        """The day, the week from Monday, or the month that has `day`."""
        if name == "month":
            return cls(name, *month_of(day.isoformat()))
        first = day if name == "day" else day - datetime.timedelta(days=day.weekday())
        return cls(name, first.isoformat(), (first + datetime.timedelta(days=1 if name == "day" else 7)).isoformat())

    @property
    def last(self) -> str:
        """The last day."""
        return (datetime.date.fromisoformat(self.end) - datetime.timedelta(days=1)).isoformat()

    @property
    def title(self) -> str:
        """The period in words."""
        return f"{self.name} {self.first}" + (f" to {self.last}" if self.last != self.first else "")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one model, role, recipe, key or day.

    `uncounted` calls have no known token count and `unpriced` calls no price: tokens and dollars are then lower bounds.
    """

    name: str
    requests: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    usd: float = 0.0
    uncounted: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Average score, from 0 to 1, of the answers of one model or recipe on one day with so many proposers."""

    day: str
    model: str
    proposers: int
    answers: int
    score: float


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage of a period, of one key or of all (`key` is None)."""

    period: Period
    key: str | None
    total: UsageRow
    by: Mapping[Dimension, Sequence[UsageRow]]
    cancelled: int
    failed: int
    degraded: int
    month_usd: float  # of the month of the period's last day
    budget_usd: float | None  # a month, of all keys
    quality: Sequence[ScoreRow] = field(default_factory=tuple)
    feedback: Sequence[ScoreRow] = field(default_factory=tuple)

    def json(self) -> dict[str, Any]:
        """Fields for JSON; dollars are rounded to a millionth of a cent."""
        return {
            "object": "usage",
            "period": self.period.name,
            "first_day": self.period.first,
            "last_day": self.period.last,
            "key": self.key,
            "total": _row_json(self.total),
            "cancelled": self.cancelled,
            "failed": self.failed,
            "degraded": self.degraded,
            "month": self.period.last[:7],
            "month_usd": _usd(self.month_usd),
            "budget_usd_per_month": self.budget_usd,
            "by": {name: [_row_json(row) for row in rows] for name, rows in self.by.items()},
            "quality": [_score_json(row) for row in self.quality],
            "feedback": [_score_json(row) for row in self.feedback],
        }


def _row_json(row: UsageRow) -> dict[str, Any]:
    return {**asdict(row), "usd": _usd(row.usd)}


def _score_json(row: ScoreRow) -> dict[str, Any]:
    return {**asdict(row), "score": round(row.score, 4)}


def _usd(usd: float) -> float:
    return round(usd, 8)

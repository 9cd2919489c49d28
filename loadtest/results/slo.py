"""Service level objectives: `ttft_ms<=500,tpot_ms<=30,error_share<=0.01`.

A limit on a request measure (`loadtest.results.metrics.REQUEST_MEASURES`) applies to every request; the share of
requests that meet all of them is the goodput (DistServe, arXiv 2401.09670, section 2). A limit on a measure of the run
(`goodput_share`, `error_share`, ...) applies once. If only requests are limited, `goodput_share>=0.95` is added.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loadtest.errors import LoadError
from loadtest.results.exchange import Exchange
from loadtest.results.metrics import FORMULAS, REQUEST_MEASURES, Summary

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
RUN_MEASURES = tuple(name for name in FORMULAS if name not in REQUEST_MEASURES)
ENOUGH_SHARE = 0.95
_LIMIT = re.compile(r"(\w+)\s*(<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True)
class Limit:
    """Bound of one measure."""

    measure: str
    compare: str
    bound: float

    def __str__(self) -> str:
        return f"{self.measure}{self.compare}{self.bound:g}"

    def met(self, value: float | None) -> bool:
        """True if the value is within the limit, or does not apply (`None`). An unknown value (NaN) is not."""
        return value is None or COMPARE[self.compare](value, self.bound)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Judgement of one limit of the run."""

    limit: Limit
    value: float | None  # None: unknown, which does not meet the limit
    met: bool


@dataclass(frozen=True, slots=True)
class Slo:
    """Limits on every request, and limits on the run."""

    request: tuple[Limit, ...] = ()
    run: tuple[Limit, ...] = ()

    def __str__(self) -> str:
        return ", ".join(map(str, (*self.request, *self.run))) or "none"

    def good(self, exchange: Exchange) -> bool:
        """True if a successful request met every request limit."""
        return all(limit.met(REQUEST_MEASURES[limit.measure](exchange)) for limit in self.request)

    def judge(self, summary: Summary) -> tuple[Verdict, ...]:
        """Judge each limit of the run. A run without requests meets none."""
        return tuple(self._verdict(limit, summary) for limit in self.run)

    @staticmethod
    def _verdict(limit: Limit, summary: Summary) -> Verdict:
        value: float | None = getattr(summary, limit.measure)
        return Verdict(limit, value, value is not None and summary.requests > 0 and limit.met(value))


def parse_slo(text: str) -> Slo:
    """Parse an expression; an empty one has no limits.

    Raises:
        LoadError: a limit is malformed, or its measure does not exist.
    """
    limits: list[Limit] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _LIMIT.fullmatch(part)
        if match is None:
            raise LoadError(f"'{part}' is not a limit; write limits as ttft_ms<=500, separated by commas.")
        limits.append(Limit(match[1], match[2], float(match[3])))
        if match[1] not in FORMULAS:
            raise LoadError(f"'{match[1]}' is not a measure; choose one of: {', '.join(FORMULAS)}.")
    request = tuple(limit for limit in limits if limit.measure in REQUEST_MEASURES)
    run = tuple(limit for limit in limits if limit.measure in RUN_MEASURES)
    if request and not any(limit.measure.startswith("goodput") for limit in run):
        run = (Limit("goodput_share", ">=", ENOUGH_SHARE), *run)
    return Slo(request, run)

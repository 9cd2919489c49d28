"""Service level objectives: `ttft_ms<=500,tpot_ms<=30,error_share<=0.01`.

A limit on a request measure (`loadtest.results.metrics.REQUEST_MEASURES`) is asked of every request, and the share of
requests that meet all of them is the goodput (DistServe, arXiv 2401.09670, section 2). A limit on a run's measure
(`goodput_share`, `error_share`, ...) is asked once. Where only requests are limited, `goodput_share>=0.95` is added.
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
    measure: str
    compare: str
    bound: float

    def __str__(self) -> str:
        return f"{self.measure}{self.compare}{self.bound:g}"

    def met(self, value: float | None) -> bool:
        """A measure that does not apply (`None`) breaks no limit; an unknown one (NaN) meets none."""
        return value is None or COMPARE[self.compare](value, self.bound)


@dataclass(frozen=True, slots=True)
class Verdict:
    limit: Limit
    value: float | None  # None: it could not be measured, which does not meet the limit
    met: bool


@dataclass(frozen=True, slots=True)
class Slo:
    request: tuple[Limit, ...] = ()
    run: tuple[Limit, ...] = ()

    def __str__(self) -> str:
        return ", ".join(map(str, (*self.request, *self.run))) or "none"

    def good(self, exchange: Exchange) -> bool:
        """Whether a request that ended well met every request limit."""
        return all(limit.met(REQUEST_MEASURES[limit.measure](exchange)) for limit in self.request)

    def judge(self, summary: Summary) -> tuple[Verdict, ...]:
        """One verdict per run limit. A run without a single request meets none."""
        return tuple(self._verdict(limit, summary) for limit in self.run)

    @staticmethod
    def _verdict(limit: Limit, summary: Summary) -> Verdict:
        value: float | None = getattr(summary, limit.measure)
        return Verdict(limit, value, value is not None and summary.requests > 0 and limit.met(value))


def parse_slo(text: str) -> Slo:
    """Read an expression; the empty one asks for nothing.

    Raises:
        LoadError: a limit is malformed, or names no measure.
    """
    limits: list[Limit] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _LIMIT.fullmatch(part)
        if match is None:
            raise LoadError(f"'{part}' is no limit; write one as ttft_ms<=500, several separated by commas.")
        limits.append(Limit(match[1], match[2], float(match[3])))
        if match[1] not in FORMULAS:
            raise LoadError(f"'{match[1]}' is no measure; choose among {', '.join(FORMULAS)}.")
    request = tuple(limit for limit in limits if limit.measure in REQUEST_MEASURES)
    run = tuple(limit for limit in limits if limit.measure in RUN_MEASURES)
    if request and not any(limit.measure.startswith("goodput") for limit in run):
        run = (Limit("goodput_share", ">=", ENOUGH_SHARE), *run)
    return Slo(request, run)

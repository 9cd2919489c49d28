"""Service level objectives: `ttft_ms<=500,tpot_ms<=30,error_share<=0.01`.

A limit on a request measure (`loadtest.results.metrics.REQUEST_MEASURES`) applies to every request; the share of
requests that meet all of them is the goodput (DistServe, arXiv 2401.09670, section 2). A limit on a measure of the run
(`goodput_share`, `error_share`, ...) applies once. If only requests are limited, `goodput_share>=0.95` is added.

A complete answer without the measure, such as `answer_ms` of an answer that is not streamed, does not meet the limit. A
limit whose measure no answer of the run has is not met either.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loadtest.errors import LoadError
from loadtest.results.exchange import Exchange
from loadtest.results.metrics import FORMULAS, REQUEST_MEASURES, Summary, exists

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
FROM_BELOW = ("goodput_share", "goodput_rps", "requests_per_s", "tokens_per_s", "team_tokens_per_s")  # more is better
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

    def met(self, value: float) -> bool:
        """True if the value is within the limit. An unknown value (NaN) is not."""
        return COMPARE[self.compare](value, self.bound)

    def met_by(self, exchange: Exchange) -> bool:
        """True if a complete answer is within the limit of its request, or cannot have the measure."""
        value = REQUEST_MEASURES[self.measure](exchange)
        return not exists(self.measure, exchange) if value is None else self.met(value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Judgement of one limit of the run."""

    limit: Limit
    value: float | None  # None: unknown, or a limit on requests that no answer has the measure of; neither is met
    met: bool

    @property
    def measured(self) -> str:
        """The value in words."""
        if self.value is not None:
            return f"{self.value:.4g}"
        return "on no request" if self.limit.measure in REQUEST_MEASURES else "unknown"


@dataclass(frozen=True, slots=True)
class Slo:
    """Limits on every request, and limits on the run."""

    request: tuple[Limit, ...] = ()
    run: tuple[Limit, ...] = ()

    def __str__(self) -> str:
        return ", ".join(map(str, (*self.request, *self.run))) or "none"

    def good(self, exchange: Exchange) -> bool:
        """True if a successful request met every request limit."""
        return all(limit.met_by(exchange) for limit in self.request)

    def judge(self, summary: Summary) -> tuple[Verdict, ...]:
        """Judge each limit of the run, and each limit on requests whose measure no complete answer has.

        A run without requests meets none.
        """
        unmeasured = (limit for limit in self.request if limit.measure not in summary.distributions)
        return (
            *(Verdict(limit, None, met=False) for limit in unmeasured),
            *(self._verdict(limit, summary) for limit in self.run),
        )

    @staticmethod
    def _verdict(limit: Limit, summary: Summary) -> Verdict:
        value: float | None = getattr(summary, limit.measure)
        return Verdict(limit, value, value is not None and summary.requests > 0 and limit.met(value))


def parse_slo(text: str) -> Slo:
    """Parse an expression; an empty one has no limits.

    Raises:
        LoadError: a limit is malformed, its measure does not exist or has a limit already, or it is a limit on the good
            side of the measure.
    """
    limits: list[Limit] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _LIMIT.fullmatch(part)
        if match is None:
            raise LoadError(f"'{part}' is not a limit; write limits as ttft_ms<=500, separated by commas.")
        limits.append(Limit(match[1], match[2], float(match[3])))
        if match[1] not in FORMULAS:
            raise LoadError(f"'{match[1]}' is not a measure; choose one of: {', '.join(FORMULAS)}.")
        if [limit.measure for limit in limits].count(match[1]) > 1:
            raise LoadError(f"'{match[1]}' has two limits in '{text.strip()}'; leave one out.")
        if (match[2][0] == ">") is not (match[1] in FROM_BELOW):
            better, right = ("more", ">=") if match[1] in FROM_BELOW else ("less", "<=")
            raise LoadError(
                f"'{part}' is the wrong way round: {better} {match[1]} is better; write {match[1]}{right}..."
            )
        if match[1].endswith("_share") and limits[-1].bound > 1:
            raise LoadError(f"'{part}' is not a limit: {match[1]} is a share from 0 to 1; write 0.95 for 95%.")
    request = tuple(limit for limit in limits if limit.measure in REQUEST_MEASURES)
    run = tuple(limit for limit in limits if limit.measure in RUN_MEASURES)
    if request and not any(limit.measure.startswith("goodput") for limit in run):
        run = (Limit("goodput_share", ">=", ENOUGH_SHARE), *run)
    return Slo(request, run)

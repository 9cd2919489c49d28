"""Measures and their formulas: pure functions over exchanges."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.results.exchange import Exchange

Measure = Callable[[Exchange], float | None]
UNKNOWN = math.nan  # the measure applies but its value is unknown; it meets no limit

QUANTILES = (0.5, 0.9, 0.95, 0.99)

# Printed with every report.
FORMULAS: Mapping[str, str] = {
    "frame_ms": "first event that is not a keep-alive (the role chunk counts) - request sent; streamed answers",
    "ttft_ms": "time to first token: first generated text of any kind, reasoning included - request sent; streamed",
    "answer_ms": "time to first answer token: first text in delta.content - request sent; streamed",
    "itl_ms": "inter-token latency: between two consecutive frames with answer text; a frame may hold several tokens",
    "tpot_ms": "time per output token: (end - first answer token) / (answer tokens - 1); streamed, 2 tokens or more",
    "e2e_ms": "end to end: last byte of the answer - request sent",
    "lag_ms": "schedule lag: request sent - time planned by the schedule; open loop only",
    "goodput_share": "successful requests that met every request limit of the SLO / all requests",
    "goodput_rps": "successful requests that met every request limit of the SLO / duration",
    "requests_per_s": "successful requests / duration, from the start to the end of the last answer",
    "tokens_per_s": "answer tokens (of the call that wrote the answer) of successful requests / duration",
    "team_tokens_per_s": "completion tokens of all agents (`moa.usage`) / duration",
    "error_share": "failed requests / all requests",
    "degraded_share": "degraded answers / complete answers",
}


def frame_ms(exchange: Exchange) -> float | None:
    """Time to the first event; see `FORMULAS`."""
    return _ms(exchange.first_frame_s)


def ttft_ms(exchange: Exchange) -> float | None:
    """Time to the first token; see `FORMULAS`."""
    return _ms(exchange.first_token_s)


def answer_ms(exchange: Exchange) -> float | None:
    """Time to the first answer token; see `FORMULAS`."""
    return _ms(exchange.first_answer_s)


def itl_ms(exchange: Exchange) -> float | None:
    """Mean of one answer's gaps, for the SLO; the distribution of `itl_ms` is over the gaps of all answers."""
    return _ms(sum(exchange.gaps_s) / len(exchange.gaps_s)) if exchange.gaps_s else None


def tpot_ms(exchange: Exchange) -> float | None:
    """Time per output token, NaN if the number of tokens is unknown; see `FORMULAS`."""
    if exchange.first_answer_s is None:
        return None
    if exchange.answer_tokens is None:
        return UNKNOWN
    if exchange.answer_tokens < 2:
        return None
    return _ms((exchange.total_s - exchange.first_answer_s) / (exchange.answer_tokens - 1))


def e2e_ms(exchange: Exchange) -> float | None:
    """End-to-end time; see `FORMULAS`."""
    return _ms(exchange.total_s)


def lag_ms(exchange: Exchange) -> float | None:
    """Schedule lag; see `FORMULAS`."""
    return None if exchange.planned_s is None else _ms(max(exchange.sent_s - exchange.planned_s, 0.0))


REQUEST_MEASURES: Mapping[str, Measure] = {
    function.__name__: function for function in (frame_ms, ttft_ms, answer_ms, itl_ms, tpot_ms, e2e_ms, lag_ms)
}


STREAMED_MEASURES = ("frame_ms", "ttft_ms", "answer_ms", "itl_ms", "tpot_ms")  # an answer in one piece has none of them


def exists(measure: str, exchange: Exchange) -> bool:
    """False if no server could give this complete answer a value of the measure.

    An answer of one token has no time between tokens, and only the first turn of a conversation is on the schedule.
    """
    if measure in ("itl_ms", "tpot_ms"):
        return not (exchange.streamed and exchange.answer_tokens is not None and exchange.answer_tokens < 2)
    return not (measure == "lag_ms" and exchange.scenario == "multi-turn" and exchange.planned_s is None)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


@dataclass(frozen=True, slots=True)
class Distribution:
    """Summary of one measure's values."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Distribution | None":
        """Summarise the known values, with quantiles by linear interpolation. `None` if there are none."""
        known = np.array([value for value in values if not math.isnan(value)])
        if not known.size:
            return None
        p50, p90, p95, p99 = np.quantile(known, QUANTILES).tolist()
        return cls(known.size, float(known.mean()), p50, p90, p95, p99, float(known.max()))


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of one run, or of a group of its requests."""

    duration_s: float
    requests: int
    completed: int
    goodput_share: float
    goodput_rps: float
    requests_per_s: float
    tokens_per_s: float | None  # None: the tokens of at least one answer are unknown
    team_tokens_per_s: float | None
    error_share: float
    degraded_share: float
    errors: Mapping[str, int]  # by kind, the most frequent first
    distributions: Mapping[str, Distribution]  # by measure, where it applies; milliseconds


def distributions(exchanges: Sequence[Exchange]) -> dict[str, Distribution]:
    """Distributions over successful requests; `lag_ms` over all requests, since a failed request was late too."""
    completed = [exchange for exchange in exchanges if exchange.error is None]
    found: dict[str, Distribution | None] = {}
    for name, measure in REQUEST_MEASURES.items():
        counted = exchanges if measure is lag_ms else completed
        found[name] = Distribution.of(value for exchange in counted if (value := measure(exchange)) is not None)
    found["itl_ms"] = Distribution.of(gap * 1000 for exchange in completed for gap in exchange.gaps_s)
    return {name: distribution for name, distribution in found.items() if distribution is not None}


def summarise(exchanges: Sequence[Exchange], duration_s: float, good: Callable[[Exchange], bool]) -> Summary:
    """Summarise exchanges. `good` tells if a successful request met its limits (`loadtest.results.slo.Slo.good`)."""
    completed = [exchange for exchange in exchanges if exchange.error is None]
    fine = sum(1 for exchange in completed if good(exchange))
    return Summary(
        duration_s=duration_s,
        requests=len(exchanges),
        completed=len(completed),
        goodput_share=_share(fine, len(exchanges)),
        goodput_rps=_share(fine, duration_s),
        requests_per_s=_share(len(completed), duration_s),
        tokens_per_s=_rate([exchange.answer_tokens for exchange in completed], duration_s),
        team_tokens_per_s=_rate([exchange.team_tokens for exchange in completed], duration_s),
        error_share=_share(len(exchanges) - len(completed), len(exchanges)),
        degraded_share=_share(sum(exchange.degraded for exchange in completed), len(completed)),
        errors=dict(Counter(exchange.error for exchange in exchanges if exchange.error is not None).most_common()),
        distributions=distributions(exchanges),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _rate(counts: Sequence[int | None], duration_s: float) -> float | None:
    known = [count for count in counts if count is not None]
    return _share(sum(known), duration_s) if len(known) == len(counts) else None

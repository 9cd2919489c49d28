"""Exchanges of a load test, and a run of three of them."""

from loadtest.results.exchange import Exchange
from loadtest.results.report import Result
from loadtest.results.slo import parse_slo


def exchange(scenario: str = "streaming", **changes: object) -> Exchange:
    values: dict[str, object] = {
        "first_frame_s": 0.1,
        "first_token_s": 0.2,
        "first_answer_s": 0.2,
        "gaps_s": (0.01, 0.02),
        "answer_tokens": 3,
        "team_tokens": 9,
    }
    return Exchange(scenario, "m", True, 1.0, 0.5, **{**values, **changes})  # type: ignore[arg-type]


def result(slo: str = "answer_ms<=300") -> Result:
    exchanges = [exchange(), exchange("chat", planned_s=0.9), exchange(error="429 overloaded", degraded=False)]
    return Result.of({"host": "http://h"}, exchanges, 10.0, parse_slo(slo))

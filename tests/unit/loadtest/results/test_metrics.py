"""The measures, on exchanges with known times."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.results.exchange import Exchange
from loadtest.results.metrics import (
    FORMULAS,
    REQUEST_MEASURES,
    Distribution,
    answer_ms,
    distributions,
    e2e_ms,
    frame_ms,
    itl_ms,
    lag_ms,
    summarise,
    tpot_ms,
    ttft_ms,
)


def exchange(**changes: object) -> Exchange:
    values: dict[str, object] = {
        "scenario": "streaming",
        "model": "m",
        "streamed": True,
        "sent_s": 1.0,
        "total_s": 2.0,
        "first_frame_s": 0.1,
        "first_token_s": 0.3,
        "first_answer_s": 0.5,
        "gaps_s": (0.1, 0.2, 0.3),
        "answer_tokens": 31,
        "team_tokens": 100,
        "status": 200,
    }
    return Exchange(**{**values, **changes})  # type: ignore[arg-type]


def test_each_measure_of_one_request() -> None:
    one = exchange(planned_s=0.75)
    assert frame_ms(one) == pytest.approx(100)
    assert ttft_ms(one) == pytest.approx(300)
    assert answer_ms(one) == pytest.approx(500)
    assert itl_ms(one) == pytest.approx(200)
    assert tpot_ms(one) == pytest.approx(1500 / 30)
    assert e2e_ms(one) == pytest.approx(2000)
    assert lag_ms(one) == pytest.approx(250)


def test_a_request_sent_early_does_not_lag() -> None:
    assert lag_ms(exchange(planned_s=2.0)) == 0


def test_measures_that_do_not_apply_are_none() -> None:
    whole = exchange(streamed=False, first_frame_s=None, first_token_s=None, first_answer_s=None, gaps_s=())
    assert [measure(whole) for measure in (frame_ms, ttft_ms, answer_ms, itl_ms, tpot_ms, lag_ms)] == [None] * 6
    assert tpot_ms(exchange(answer_tokens=1)) is None


def test_tpot_without_a_count_is_unknown_not_absent() -> None:
    value = tpot_ms(exchange(answer_tokens=None))
    assert value is not None
    assert math.isnan(value)


def test_quantiles_interpolate() -> None:
    found = Distribution.of([4.0, 0.0, 1.0, math.nan, 3.0, 2.0])
    assert found is not None
    assert (found.count, found.p50, found.p90) == (5, 2.0, pytest.approx(3.6))


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60))
def test_quantiles_agree_with_the_standard_library(values: list[float]) -> None:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    found = Distribution.of(values)
    assert found is not None
    assert (found.p50, found.p90, found.p95, found.p99) == pytest.approx((cuts[49], cuts[89], cuts[94], cuts[98]))
    assert found.max == max(values)
    assert found.mean == pytest.approx(statistics.fmean(values))


def test_no_values_have_no_distribution() -> None:
    assert Distribution.of([]) is None
    assert Distribution.of([math.nan]) is None


def test_summary_counts_rates_and_shares() -> None:
    exchanges = [
        exchange(),
        exchange(degraded=True, total_s=4.0),
        exchange(error="429 overloaded", status=429, total_s=0.01, first_answer_s=None, answer_tokens=None),
        exchange(error="timeout", total_s=9.0),
    ]
    summary = summarise(exchanges, 10.0, lambda one: one.total_s < 3)
    assert (summary.requests, summary.completed) == (4, 2)
    assert summary.goodput_share == 0.25
    assert summary.goodput_rps == 0.1
    assert summary.requests_per_s == 0.2
    assert summary.tokens_per_s == 6.2
    assert summary.team_tokens_per_s == 20
    assert summary.error_share == 0.5
    assert summary.degraded_share == 0.5
    assert summary.errors == {"429 overloaded": 1, "timeout": 1}
    assert summary.distributions["e2e_ms"].count == 2  # failed requests have no latency worth the name
    assert summary.distributions["itl_ms"].count == 6


def test_unknown_tokens_make_the_rate_unknown() -> None:
    summary = summarise([exchange(), exchange(answer_tokens=None)], 10.0, lambda _: True)
    assert summary.tokens_per_s is None
    assert summary.team_tokens_per_s == 20


def test_lag_counts_failed_requests_too() -> None:
    late = exchange(planned_s=0.0, error="timeout")
    assert distributions([late])["lag_ms"].max == pytest.approx(1000)


def test_an_empty_run_is_zeros() -> None:
    summary = summarise([], 0.0, lambda _: True)
    assert (summary.requests, summary.goodput_share, summary.requests_per_s) == (0, 0.0, 0.0)
    assert summary.distributions == {}


def test_every_measure_has_its_formula() -> None:
    assert set(REQUEST_MEASURES) < set(FORMULAS)

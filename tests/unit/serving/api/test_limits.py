"""Limits and budgets of keys, by the counters of one replica: windows, headers, settlement, refusals."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from serving.api.limit_headers import duration
from serving.api.limit_settings import KeyLimits
from serving.api.windows import day_of, minute_of, month_of
from serving.errors import EngineFailed
from serving.types import Delta
from serving.usage import TokenUsage
from tests.support.api import HandEngine, status_and_code
from tests.support.limits import BODIES, NOON, Clock, Spender, Team, ask, key, limited_app, limits
from tests.support.waiting import until


@pytest.mark.parametrize("path", [*BODIES])
async def test_requests_a_minute_are_limited_in_every_dialect_and_every_answer_says_so(path: str) -> None:
    clock = Clock(NOON + 20)
    app = limited_app(clock, keys=[limits(requests_per_minute=2, tokens_per_minute=10_000)])
    names = (
        ("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining")
        if path == "/v1/messages"
        else ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
    )
    for remaining in ("1", "0"):
        answer = await ask(app, path)
        assert answer.status_code == 200
        assert [answer.headers[name] for name in names] == ["2", remaining]
    refused = await ask(app, path)
    assert refused.status_code == 429
    assert [refused.headers[name] for name in names] == ["2", "0"]
    assert refused.headers["retry-after"] == "40"
    assert "x-should-retry" not in refused.headers
    error = refused.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert error["type"] == "rate_limit_error"
    assert error["message"] == "The key 'a' may make 2 requests a minute, its limit; try again in 40 s."
    if path == "/v1/messages":
        assert refused.json()["type"] == "error"
        assert refused.headers["anthropic-ratelimit-requests-reset"] == "2026-11-29T12:01:00Z"
        assert "x-ratelimit-limit-requests" not in refused.headers
    else:
        assert refused.headers["x-ratelimit-reset-requests"] == "40s"
        assert int(refused.headers["x-ratelimit-remaining-tokens"]) <= 10_000
    clock.now = NOON + 60
    assert (await ask(app, path)).status_code == 200


async def test_callers_without_limits_get_no_headers_and_cost_no_counter() -> None:
    app = limited_app(Clock(), keys=[key()])
    answer = await ask(app)
    assert not [name for name in answer.headers if "ratelimit" in name]
    assert app.state.server.limiter.counters.local._counters == {}


async def test_tokens_are_reserved_by_an_estimate_and_settled_by_the_usage() -> None:
    engine = Spender(60, 40)
    app = limited_app(Clock(), {"m": engine}, keys=[limits(tokens_per_minute=1000)])
    counters = app.state.server.limiter.counters.local

    def used() -> float:
        return sum(amount for name, (amount, _) in counters._counters.items() if ":tokens:" in name)

    assert (await ask(app, max_tokens=900)).status_code == 200
    assert used() == 100
    hand = HandEngine()
    app = limited_app(Clock(), {"m": hand}, keys=[limits(tokens_per_minute=1000)])
    counters = app.state.server.limiter.counters.local
    asking = asyncio.create_task(ask(app, max_tokens=900))
    await hand.asked.wait()
    assert 900 < used() < 910
    assert (await ask(app, max_tokens=100)).status_code == 429
    assert used() < 910, "a refused request reserves nothing"
    hand.give(Delta(finish_reason="stop", usage=TokenUsage(5, 5)), None)
    assert (await asking).status_code == 200
    assert used() == 10


async def test_a_stream_beyond_its_estimate_uses_up_the_minute() -> None:
    clock = Clock()
    app = limited_app(clock, {"m": Spender(400, 700)}, keys=[limits(tokens_per_minute=1000)])
    assert (await ask(app, stream=True, max_tokens=10)).status_code == 200
    refused = await ask(app, max_tokens=10)
    assert status_and_code(refused) == (429, "rate_limit_exceeded")
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    clock.now += 60
    assert (await ask(app, max_tokens=10)).status_code == 200


async def test_tokens_beyond_the_estimate_count_in_the_minute_in_which_the_answer_ends() -> None:
    clock, engine = Clock(NOON + 59), HandEngine()
    app = limited_app(clock, {"m": engine}, keys=[limits(tokens_per_minute=1000)])
    asking = asyncio.create_task(ask(app, max_tokens=10))
    await engine.asked.wait()
    clock.now = NOON + 61
    engine.give(Delta("Hi"), Delta(finish_reason="stop", usage=TokenUsage(1500, 500)), None)
    assert (await asking).status_code == 200
    assert status_and_code(await ask(app, max_tokens=10)) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize("how", ["cancelled", "failed in the middle", "failed at once"])
async def test_answers_without_an_end_are_settled_too(how: str) -> None:
    if how == "cancelled":
        engine: Any = HandEngine()
    else:
        text = "x" * 400 if how == "failed in the middle" else ""
        engine = Spender(0, 0, text=text, error=EngineFailed("m", "it broke"))
    app = limited_app(Clock(), {"m": engine}, keys=[limits(tokens_per_minute=1000, concurrent_requests=1)])
    counters = app.state.server.limiter.counters.local
    if how == "cancelled":
        asking = asyncio.create_task(ask(app, max_tokens=800))
        await engine.asked.wait()
        engine.give(Delta("x" * 400))
        await until(engine.items.empty)
        asking.cancel()
        await asyncio.wait({asking})
        await until(lambda: counters.total("limit:a:slots:29932560") == 0)
    else:
        assert (await ask(app, max_tokens=800)).status_code == 502
    assert counters.total(f"limit:a:slots:{minute_of(NOON).name}") == 0
    used = counters.total(f"limit:a:tokens:{minute_of(NOON).name}")
    assert used == 0 if how == "failed at once" else 100 <= used < 200


async def test_requests_in_progress_are_limited_and_stay_counted_in_the_next_minute() -> None:
    clock, engine = Clock(NOON + 5), HandEngine()
    app = limited_app(clock, {"m": engine}, keys=[limits(concurrent_requests=1)])
    asking = asyncio.create_task(ask(app))
    await engine.asked.wait()
    refused = await ask(app)
    assert status_and_code(refused) == (429, "rate_limit_exceeded")
    assert refused.json()["error"]["message"] == (
        "The key 'a' has 1 requests in progress of 1 allowed; wait for one to end."
    )
    clock.now = NOON + 55
    app.state.server.limiter.count_ahead()
    clock.now = NOON + 65
    assert (await ask(app)).status_code == 429
    engine.give(Delta("Hi", finish_reason="stop", usage=TokenUsage(1, 1)), None)
    assert (await asking).status_code == 200
    engine.give(Delta("Hi", finish_reason="stop", usage=TokenUsage(1, 1)), None)
    assert (await ask(app)).status_code == 200


async def test_each_prompt_of_a_batch_counts() -> None:
    engine = Spender(10, 10)
    app = limited_app(Clock(), {"m": engine}, keys=[limits(requests_per_minute=5, tokens_per_day=1000)])
    answer = await ask(app, "/v1/completions", prompt=["a", "b", "c"], max_tokens=10)
    assert answer.headers["x-ratelimit-remaining-requests"] == "2"
    counters = app.state.server.limiter.counters.local
    assert counters.total("limit:a:tokens:2026-11-29") == 60
    assert (await ask(app, "/v1/completions", prompt=["a", "b", "c"])).status_code == 429


@pytest.mark.parametrize(
    ("budget", "begins"),
    [("tokens_per_day", "2026-11-30T00:00:00+00:00"), ("tokens_per_month", "2026-12-01T00:00:00+00:00")],
)
async def test_a_budget_ends_at_midnight_and_at_the_months_end_in_utc(budget: str, begins: str) -> None:
    at = datetime.fromisoformat(begins).timestamp()
    clock = Clock(at - 1)
    app = limited_app(clock, {"m": Spender(600, 400)}, keys=[limits(**{budget: 1000})])
    assert (await ask(app, max_tokens=10)).status_code == 200
    refused = await ask(app, max_tokens=10)
    assert status_and_code(refused) == (429, "insufficient_quota")
    assert refused.json()["error"]["type"] == "insufficient_quota"
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("1", "false")
    clock.now = at
    assert (await ask(app, max_tokens=10)).status_code == 200


async def test_an_answer_belongs_to_the_day_in_which_it_began() -> None:
    midnight = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
    clock, engine = Clock(midnight - 1), HandEngine()
    app = limited_app(clock, {"m": engine}, keys=[limits(tokens_per_day=1000)])
    asking = asyncio.create_task(ask(app, max_tokens=10))
    await engine.asked.wait()
    clock.now = midnight + 1
    engine.give(Delta("Hi", finish_reason="stop", usage=TokenUsage(600, 300)), None)
    await asking
    counters = app.state.server.limiter.counters.local
    assert counters.total("limit:a:tokens:2026-11-29") == 900
    assert counters.total("limit:a:tokens:2026-11-30") == 0


async def test_dollars_are_tokens_times_the_prices_of_models() -> None:
    app = limited_app(Clock(), {"m": Spender(1_000_000, 500_000)}, keys=[limits(usd_per_month=3.0)])
    assert (await ask(app, max_tokens=10)).status_code == 200
    assert app.state.server.limiter.counters.local.total("limit:a:usd:2026-11") == pytest.approx(2.0)
    assert (await ask(app, max_tokens=10)).status_code == 429, "an equal request is expected to cost as much"


async def test_over_a_budget_a_cheaper_recipe_answers_and_says_so() -> None:
    m, cheap = Team(600, 400), Team(1, 1)
    over = {"use": "cheap"}
    app = limited_app(
        Clock(), {"m": m, "cheap": cheap}, recipes=("m", "cheap"), keys=[limits(tokens_per_day=1000, over_budget=over)]
    )
    first = await ask(app, max_tokens=10)
    assert "x-moa-over-budget" not in first.headers
    for stream in (False, True):
        answer = await ask(app, max_tokens=10, stream=stream, moa={"layers": 1})
        assert answer.headers["x-moa-over-budget"] == "cheap"
        said = "The key 'a' has too little left of its budget of 1000 tokens for the day 2026-11-29 (UTC); 'cheap' a"
        assert said in answer.text
    assert (len(m.requests), len(cheap.requests)) == (1, 2)


def test_windows_are_those_of_the_clock_in_utc() -> None:
    at = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp()
    assert (day_of(at).name, day_of(at).ends_at) == ("2028-02-29", at + 1)
    assert (month_of(at).name, month_of(at).ends_at) == ("2028-02", at + 1)
    assert (day_of(at + 1).name, month_of(at + 1).name) == ("2028-03-01", "2028-03")
    december = datetime(2026, 12, 31, 12, tzinfo=UTC).timestamp()
    assert month_of(december).ends_at == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert minute_of(at).ends_at == at + 1
    assert [duration(seconds) for seconds in (0, 0.2, 59, 60, 61)] == ["0s", "1s", "59s", "1m0s", "1m1s"]


def test_a_key_has_the_limits_of_all_unless_it_has_its_own_or_none() -> None:
    defaults = KeyLimits(requests_per_minute=5, tokens_per_minute=100)
    assert KeyLimits(tokens_per_minute=7).over(defaults) == KeyLimits(requests_per_minute=5, tokens_per_minute=7)
    assert not KeyLimits(requests_per_minute=None, tokens_per_minute=None).over(defaults).limited
    with pytest.raises(ValidationError):
        KeyLimits(requests_per_minute=0)

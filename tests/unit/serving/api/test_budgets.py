"""Requests beyond a budget: bursts, the recipe that answers in place of another one, and what is refused."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from serving.api.exchange import Api
from serving.api.limit_plan import counter_key
from serving.api.windows import day_of, minute_of
from serving.engines.scripted import ScriptedEngine
from serving.engines.scripted_pooling import ScriptedPoolingEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.store.counters import Addition
from serving.store.settings import StoreSettings
from serving.store.spending import SpendingStore
from serving.store.store import Store
from serving.telemetry import Observer
from serving.types import Delta, GenerateRequest
from tests.support.api import HELLO, chat, client_of, status_and_code
from tests.support.limits import NOON, Clock, Spender, Team, ask, auth, key, limited_app, limits, with_clock
from tests.support.pooling import pooling_app
from tests.support.waiting import until

LONG_S = 600.0
MAX_TOKENS = 100
# A request of HELLO to three proposers and an aggregator: each reads 1 + 5 / 4 tokens and writes at most 100, and each
# answer is read once. Prompt tokens cost a dollar a million, completion tokens two.
MOST_TOKENS = 4 * 2.25 + 400 + 400
MOST_USD = (4 * 2.25 + 400 + 2 * 400) / 1e6
BUDGETS = {"tokens_per_day": 3 * round(MOST_TOKENS + 1), "usd_per_day": 3.01 * MOST_USD}


class Refused(Observer):
    """Records refusals: their codes, and the callers that limits refused."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.callers: list[str] = []

    def request_refused(self, code: str) -> None:
        self.codes.append(code)

    def caller_refused(self, name: str, priority_class: str) -> None:
        self.callers.append(name)


class Gate:
    """Streams of engines that begin when a test opens the gate."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def __call__(
        self, request: GenerateRequest, deltas: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        await self.opened.wait()
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta


def team(gate: Gate | None = None) -> dict[str, Any]:
    """The models `a`, `b` and `c`, and the recipe `moa-lite` of the three, of which `a` is the aggregator."""
    models = {name: ScriptedEngine(name, "one two three", intercept=gate) for name in "abc"}
    recipes = load_recipes(["moa-lite"], {"proposers": [*models], "aggregator": "a"})
    return {**Orchestrator(models, recipes).engines, "models": models}


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("over_budget", ["refuse", {"use": "a"}])
async def test_a_burst_after_a_start_gets_as_much_of_a_recipe_as_the_budget_has(budget: str, over_budget: Any) -> None:
    gate = Gate()
    engines = team(gate)
    a = engines.pop("models")["a"]
    app = limited_app(
        Clock(),
        engines,
        recipes=("moa-lite",),
        keys=[limits(**{budget: BUDGETS[budget]}, over_budget=over_budget)],
    )
    asked = [asyncio.create_task(ask(app, model="moa-lite", max_tokens=MAX_TOKENS)) for _ in range(20)]
    # Until the gate opens no request ends, so that all of them are decided while the recipe's cost is unknown.
    await until(lambda: len(a.requests) + sum(one.done() for one in asked) == 20)
    gate.opened.set()
    answers = [await one for one in asked]
    full = [one for one in answers if one.status_code == 200 and "x-moa-over-budget" not in one.headers]
    others = [one for one in answers if one not in full]
    assert len(full) == 3
    for one in others:
        if over_budget == "refuse":
            assert status_and_code(one) == (429, "insufficient_quota")
        else:
            assert (one.status_code, one.headers["x-moa-over-budget"]) == (200, "a")
    spent = sum(one.json()["moa"]["usage"]["total_tokens"] for one in full)
    if over_budget != "refuse":
        spent += sum(one.json()["usage"]["total_tokens"] for one in others)
    total = app.state.server.limiter.counters.local.total
    assert total(counter_key("a", "tokens", day_of(NOON))) == pytest.approx(spent)
    # The cost is known now, and is far below the bound.
    answer = await ask(app, model="moa-lite", max_tokens=MAX_TOKENS)
    assert (answer.status_code, answer.headers.get("x-moa-over-budget")) == (200, None)


async def test_settings_of_a_request_that_make_more_calls_reserve_more() -> None:
    engines = team()
    engines.pop("models")
    app = limited_app(Clock(), engines, recipes=("moa-lite",), keys=[limits(tokens_per_day=10**7)])
    body = {"model": "moa-lite", "max_tokens": MAX_TOKENS}
    assert (await ask(app, **body)).status_code == 200
    estimator, server = app.state.server.limiter.estimator, app.state.server
    reserved: list[float] = []
    expected = estimator.reserved

    def noted(model: str, estimate: Any) -> Any:
        spent = expected(model, estimate)
        reserved.append(spent.tokens)
        return spent

    server.limiter.estimator.reserved = noted
    for moa in ({}, {"layers": 3}):
        assert (await ask(app, **body, moa=moa)).status_code == 200
    assert reserved[1] > 2 * reserved[0]


async def test_without_max_tokens_a_recipe_reserves_what_its_limits_allow() -> None:
    gate = Gate()
    engines = team(gate)
    a = engines.pop("models")["a"]
    given = limits(tokens_per_day=1000, over_budget={"use": "a"})
    app = limited_app(Clock(), engines, recipes=("moa-lite",), keys=[given])
    asked = [asyncio.create_task(ask(app, model="moa-lite")) for _ in range(2)]
    await until(lambda: len(a.requests) == 2)
    gate.opened.set()
    answers = [await one for one in asked]
    assert sorted("x-moa-over-budget" in one.headers for one in answers) == [False, True]


async def test_a_cheaper_recipe_without_a_budget_is_never_needed() -> None:
    """Also where a minute is limited: `over_budget` may be that of all keys, of which others have a budget."""
    app = limited_app(Clock(), {"m": Spender(1, 1)}, keys=[limits(requests_per_minute=2, over_budget={"use": "m"})])
    answers = [await ask(app) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert [one.headers["x-ratelimit-remaining-requests"] for one in answers] == ["1", "0", "0"]


async def test_the_cheaper_recipe_is_within_the_limits_of_a_minute_which_are_shown_once() -> None:
    m, cheap, observer = Team(600, 400), Team(1, 1), Refused()
    given = limits(tokens_per_day=1000, requests_per_minute=2, over_budget={"use": "cheap"})
    app = limited_app(Clock(), {"m": m, "cheap": cheap}, recipes=("m", "cheap"), observer=observer, keys=[given])
    answers = [await ask(app, max_tokens=10) for _ in range(3)]
    assert [one.headers.get("x-moa-over-budget") for one in answers] == [None, "cheap", None]
    assert [one.headers.get_list("x-ratelimit-remaining-requests") for one in answers] == [["1"], ["0"], ["0"]]
    assert status_and_code(answers[2]) == (429, "rate_limit_exceeded")
    assert observer.callers == ["a"], "the request that another recipe answered was not refused"


async def test_a_request_that_the_cheaper_model_cannot_answer_is_beyond_the_budget() -> None:
    """It is valid for the recipe that it asks: no sentence about its fields."""
    m, cheap = Team(600, 400), Team(1, 1)
    given = limits(tokens_per_day=1000, over_budget={"use": "cheap"})
    app = limited_app(Clock(), {"m": m, "cheap": cheap}, recipes=("m",), keys=[given])
    assert (await ask(app, max_tokens=10, moa={"samples": 2})).status_code == 200
    beyond = await ask(app, max_tokens=10, moa={"samples": 2})
    assert status_and_code(beyond) == (429, "insufficient_quota")
    assert "samples" not in beyond.text
    assert (await ask(app, max_tokens=10)).headers["x-moa-over-budget"] == "cheap"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store, None]:
    store = Store(StoreSettings(path=str(tmp_path / "store.sqlite"), timeout_s=20), environment={})
    yield store
    await store.close()


async def test_an_answer_beyond_the_budget_is_stored_without_the_sentence_about_it(store: Store) -> None:
    cheap = Team(1, 1)
    poor = key("a", limits={"tokens_per_day": 10, "over_budget": {"use": "cheap"}})
    app = limited_app(
        Clock(),
        {"m": Team(600, 400), "cheap": cheap},
        store=store,
        recipes=("m", "cheap"),
        keys=[poor, key("b")],
        share_between_keys=True,
    )
    cached = {"cache": {"ttl_s": LONG_S}}
    assert (await ask(app, max_tokens=1)).status_code == 200
    stored = await ask(app, max_tokens=1, moa=cached)
    within = await ask(app, name="b", model="cheap", max_tokens=1, moa=cached)
    again = await ask(app, max_tokens=1, moa=cached)
    assert [one.headers["x-moa-cache"] for one in (stored, within, again)] == ["stored", "hit", "hit"]
    assert len(cheap.requests) == 1
    (sentence,) = stored.json()["moa"]["reasons"]
    assert "has too little left of its budget of 10 tokens" in sentence
    assert within.json()["moa"]["reasons"] == []
    assert again.json()["moa"]["reasons"] == [sentence]
    await app.state.server.cache.close()
    await app.state.server.limiter.close()


async def test_a_caller_that_leaves_while_its_budget_is_read_leaves_nothing_reserved(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Spender(1, 1)
    app = limited_app(Clock(), {"m": engine}, store=store, keys=[limits(tokens_per_day=1000)])
    counters = app.state.server.limiter.counters
    assert (await ask(app, max_tokens=5)).status_code == 200
    await until(lambda: not counters.pending)
    day, month = day_of(NOON), "2026-11"
    lost = [f"limit:a:{unit}:{name}" for unit in ("tokens", "usd", "marker") for name in (day.name, month)]
    for name in lost:  # the counters are lost, as those of a Redis server without files
        await store.expiring.add_all([Addition(name, -(await store.expiring.total(name)), LONG_S)])
    reading = asyncio.Event()

    async def waits(*_: Any) -> Any:
        reading.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(SpendingStore, "read", waits)
    leaving = asyncio.create_task(ask(app, max_tokens=500))
    await reading.wait()
    leaving.cancel()
    await asyncio.wait({leaving})
    await until(lambda: not counters.pending)
    assert [await store.expiring.total(name) for name in lost] == [0] * 6
    assert len(engine.requests) == 1
    await app.state.server.limiter.close()


# -- requests that pooling engines answer ------------------------------------------------------------------

POOLING = {
    "/v1/embeddings": {"model": "e", "input": "one two three"},
    "/v1/rerank": {"model": "r", "query": "one", "documents": ["two", "three"]},
}
ALL = {**POOLING, "/v1/chat/completions": {"model": "m", "messages": HELLO}}


def pooling_engines(**options: Any) -> dict[str, ScriptedPoolingEngine]:
    return {"e": ScriptedPoolingEngine("e", **options), "r": ScriptedPoolingEngine("r", "rerank", **options)}


@pytest.fixture(autouse=True)
def unlogged() -> Iterator[None]:
    """Switch the request log off again."""
    yield
    logging.getLogger("serving.requests").setLevel(logging.NOTSET)


def limited_pooling(engines: Mapping[str, ScriptedPoolingEngine], limited: Any, **options: Any) -> Api:
    return with_clock(pooling_app(engines, keys=[limited], **options), Clock())


@pytest.mark.parametrize("path", ALL)
async def test_a_refusal_by_a_limit_is_reported_alike_for_every_kind_of_model(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    observer = Refused()
    app = limited_pooling(pooling_engines(), limits(requests_per_minute=1), observer=observer, log_requests=True)
    async with client_of(app) as client:
        statuses = [(await client.post(path, json=ALL[path], headers=auth())).status_code for _ in range(2)]
    assert statuses == [200, 429]
    assert observer.codes == ["rate_limit_exceeded"]
    lines = [json.loads(one.getMessage()) for one in caplog.records if one.name == "serving.requests"]
    assert [one["outcome"] for one in lines] == ["ok"]


@pytest.mark.parametrize("path", POOLING)
async def test_no_recipe_answers_for_a_model_that_embeds_or_ranks(path: str) -> None:
    app = limited_pooling(pooling_engines(), limits(tokens_per_month=1, over_budget={"use": "m"}))
    async with client_of(app) as client:
        first, second = [await client.post(path, json=POOLING[path], headers=auth()) for _ in range(2)]
        text = await client.post("/v1/chat/completions", json=chat(), headers=auth())
    assert first.status_code == 200
    assert status_and_code(second) == (429, "insufficient_quota")
    assert (
        "The key 'a' has too little left of its budget of 1 tokens for the month" in second.json()["error"]["message"]
    )
    assert second.headers["x-should-retry"] == "false"
    assert "x-moa-over-budget" not in second.headers
    assert (text.status_code, text.headers["x-moa-over-budget"]) == (200, "m")


async def test_a_caller_that_leaves_a_pooling_engine_leaves_nothing_reserved() -> None:
    engines = pooling_engines(delay_s=LONG_S)
    app = limited_pooling(engines, limits(tokens_per_month=1000, concurrent_requests=1))
    async with client_of(app) as client:
        asking = asyncio.create_task(client.post("/v1/embeddings", json=POOLING["/v1/embeddings"], headers=auth()))
        await until(lambda: engines["e"].running)
        counters = app.state.server.limiter.counters.local
        assert counters.total(counter_key("a", "slots", minute_of(NOON))) == 1
        asking.cancel()
        await asyncio.wait({asking})
    assert {name: amount for name, (amount, _) in counters._counters.items() if amount and "marker" not in name} == {}

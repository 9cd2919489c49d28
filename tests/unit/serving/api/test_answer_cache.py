"""Stored answers over HTTP: what is returned again, to whom, in every dialect, and what is not."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from serving.cache import response_cache as cache_module
from serving.conversation import ToolCall
from serving.engines.scripted import Interceptor, ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed
from serving.types import CacheOption, Delta, GenerateRequest
from tests.support.api import END, HandEngine, app_of, chat, client_of, degraded_end
from tests.support.cache import CacheLog, MemoryExpiring, cached_app
from tests.support.images import file_of, url_of
from tests.support.waiting import until

ON = {"moa": {"cache": {"ttl_s": 60}}}
CHAT, RESPONSES, MESSAGES, COMPLETIONS = "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions"
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
ANSWER = ScriptedAnswer(
    "The weather in " + "Utrecht " * 20, "Let me think " * 9, (ToolCall("call_1", "weather", '{"city": "Utrecht"}'),)
)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": TOOL}}
USER = {"role": "user", "content": "Hello"}
BODIES: Mapping[str, Mapping[str, Any]] = {
    CHAT: {"messages": [USER], "tools": [WEATHER], "stream_options": {"include_usage": True}},
    RESPONSES: {"input": "Hello", "tools": [{"type": "function", "name": "weather", "parameters": TOOL}]},
    MESSAGES: {
        "messages": [USER],
        "max_tokens": 1000,
        "tools": [{"name": "weather", "input_schema": TOOL}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
    COMPLETIONS: {"prompt": ["Hello", "again"], "n": 2, "logprobs": 1, "max_tokens": 1000},
}


class CountingEngine(ScriptedEngine):
    """A scripted model whose text says how often it was asked."""

    def __init__(self, **options: Any) -> None:
        super().__init__("m", lambda _: f"answer {len(self.requests)}", **options)


def behind(gate: asyncio.Event, fails: Callable[[], bool]) -> Interceptor:
    """Streams that begin when `gate` is set; those for which `fails` was true when they were asked for then fail."""

    async def stream(_: GenerateRequest, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        failing = fails()
        await gate.wait()
        if failing:
            raise EngineFailed("m", "scripted")
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta

    return stream


async def ask(client: httpx.AsyncClient, body: Mapping[str, Any], path: str = CHAT) -> httpx.Response:
    response = await client.post(path, json={"model": "m", **body})
    assert response.status_code == 200, response.text
    return response


def varying(found: Any) -> Any:
    """`found` without ids, times, and what says that an answer is a stored one."""
    if isinstance(found, dict):
        left_out = ("id", "created", "created_at", "completed_at", "item_id", "moa", "sequence_number")
        return {name: varying(value) for name, value in found.items() if name not in left_out}
    return [varying(item) for item in found] if isinstance(found, list) else found


@pytest.mark.parametrize("path", BODIES)
async def test_a_stored_answer_is_the_same_whole_in_every_dialect(path: str) -> None:
    engine = ScriptedEngine("m", ANSWER, tools=True, thinking=True)
    body = {**{name: value for name, value in BODIES[path].items() if name != "stream_options"}, **ON}
    async with client_of(cached_app({"m": engine}, MemoryExpiring())) as client:
        first = await ask(client, body, path)
        asked = len(engine.requests)
        second = await ask(client, body, path)
    assert [one.headers["x-moa-cache"] for one in (first, second)] == ["stored", "hit"]
    assert len(engine.requests) == asked
    assert varying(second.json()) == varying(first.json())
    assert [(one.json()["moa"]["cache"], one.json()["moa"]["cached"]) for one in (first, second)] == [
        ("stored", False),
        ("hit", True),
    ]
    assert "Utrecht" in first.text
    if path != COMPLETIONS:
        assert "Let me think" in second.text
        assert "weather" in second.text


def folded(path: str, text: str) -> Any:
    """Content of a stream: its last whole answer, or the sum of its pieces."""
    events = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]
    if path == RESPONSES:
        return varying(events[-1]["response"])
    pieces: dict[Any, Any] = {}
    for event in events:
        if path == MESSAGES:
            if event["type"] == "content_block_delta":
                for name, value in event["delta"].items():
                    place = (event["index"], name)
                    pieces[place] = pieces.get(place, "") + str(value) if name != "type" else value
            if event["type"] == "message_delta":
                pieces["end"] = varying(event)
            continue
        for choice in event.get("choices", ()):
            found = pieces.setdefault(choice["index"], {"text": "", "calls": "", "logprobs": [], "end": None})
            delta = choice.get("delta", {})
            found["text"] += choice.get("text", "") + (delta.get("content") or "")
            found["text"] += "" if not delta.get("reasoning") else f"<{delta['reasoning']}>".replace("><", "")
            for call in delta.get("tool_calls", ()):
                found["calls"] += json.dumps(call.get("id")) if call.get("id") else ""
                found["calls"] += call["function"]["arguments"]
            if choice["logprobs"]:
                found["logprobs"] += choice["logprobs"].get("tokens", choice["logprobs"].get("content")) or []
            found["end"] = choice["finish_reason"] or found["end"]
        if event.get("usage"):
            pieces["usage"] = event["usage"]
    for found in pieces.values():
        if isinstance(found, dict) and "text" in found:
            found["text"] = found["text"].replace("><", "")
    return pieces


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stored_by", ["whole", "stream"])
async def test_a_stored_answer_is_the_same_as_a_stream(path: str, stored_by: str) -> None:
    engine = ScriptedEngine("m", ANSWER, tools=True, thinking=True)
    streamed = {**BODIES[path], "stream": True}
    whole = {name: value for name, value in BODIES[path].items() if name != "stream_options"}
    async with client_of(cached_app({"m": engine}, MemoryExpiring())) as client:
        plain = await ask(client, streamed, path)  # without the cache
        first = await ask(client, {**(whole if stored_by == "whole" else streamed), **ON}, path)
        asked = len(engine.requests)
        hit = await ask(client, {**streamed, **ON}, path)
        again = await ask(client, {**whole, **ON}, path)
    assert "x-moa-cache" not in plain.headers
    assert first.headers["x-moa-cache"] == ("stored" if stored_by == "whole" else "miss")
    assert stored_by == "whole" or '"cache":"stored"' in first.text
    assert [one.headers["x-moa-cache"] for one in (hit, again)] == ["hit", "hit"]
    assert '"cached":true' in hit.text
    assert len(engine.requests) == asked
    assert folded(path, hit.text) == folded(path, plain.text)
    assert hit.text.count("data: ") > 8, "in pieces"


async def test_logprobs_and_several_choices_are_returned_again() -> None:
    engine = ScriptedEngine("m", "one two three", logprob=-0.25)
    body = {**chat(), "n": 3, "logprobs": True, "top_logprobs": 0, **ON}
    async with client_of(cached_app({"m": engine}, MemoryExpiring())) as client:
        first, second = [(await ask(client, body)).json() for _ in range(2)]
    assert varying(first) == varying(second)
    assert len(second["choices"]) == 3
    assert second["choices"][2]["logprobs"]["content"][0]["logprob"] == -0.25


def pictured(color: str) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": url_of(file_of(color=color))}}
    return {"messages": [{"role": "user", "content": [part]}]}


OTHERS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "tools": (
        {"tools": [WEATHER]},
        {"tools": [{"type": "function", "function": {"name": "weather", "description": "Other.", "parameters": TOOL}}]},
    ),
    "tool_choice": ({"tools": [WEATHER]}, {"tools": [WEATHER], "tool_choice": "none"}),
    "seed": ({"seed": 1}, {"seed": 2}),
    "no seed": ({"seed": 1}, {}),
    "system text": (
        {"messages": [{"role": "system", "content": "Be brief."}, USER]},
        {"messages": [{"role": "system", "content": "Be long."}, USER]},
    ),
    "image": (pictured("red"), pictured("blue")),
    "temperature": ({"temperature": 0.0}, {"temperature": 1.0}),
    "max_tokens": ({"max_tokens": 5}, {"max_tokens": 6}),
    "n": ({}, {"n": 2}),
    "logprobs": ({}, {"logprobs": True}),
    "response_format": ({}, {"response_format": {"type": "json_object"}}),
    "thinking": ({}, {"reasoning_effort": "low"}),
    "trace": ({}, {"moa": {"trace": True, "cache": {"ttl_s": 60}}}),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
async def test_another_request_gets_its_own_answer(name: str) -> None:
    engine = CountingEngine(tools=True, thinking=True, modalities=("text", "image"))
    first, second = ({"messages": [USER], **ON, **body} for body in OTHERS[name])
    async with client_of(cached_app({"m": engine}, MemoryExpiring())) as client:
        statuses = [(await ask(client, body)).headers["x-moa-cache"] for body in (first, second, first, second)]
    assert statuses == ["stored", "stored", "hit", "hit"]


async def test_who_asks_how_and_when_does_not_matter() -> None:
    engine = CountingEngine()
    bodies = [{}, {"user": "ann"}, {"metadata": {"a": "b"}}, {"priority": 3}, {"prompt_cache_key": "k"}]
    async with client_of(cached_app({"m": engine}, MemoryExpiring())) as client:
        statuses = [(await ask(client, {**chat(), **ON, **body})).headers["x-moa-cache"] for body in bodies]
        other_dialect = await ask(client, {"input": "Hello", **ON}, RESPONSES)
    assert statuses == ["stored", *["hit"] * 4]
    assert other_dialect.headers["x-moa-cache"] == "hit"


@pytest.mark.parametrize(("shared", "statuses"), [(False, ["stored", "stored"]), (True, ["stored", "hit"])])
async def test_tenants_share_no_answers_unless_the_operator_says_so(shared: bool, statuses: list[str]) -> None:
    engine = CountingEngine()
    keys = ("key-one-0123456789", "key-two-0123456789")
    app = cached_app({"m": engine}, MemoryExpiring(), api_key=keys, share_between_keys=shared)
    found = []
    for key in keys:
        async with client_of(app, authorization=f"Bearer {key}") as client:
            found.append((await ask(client, {**chat(), **ON})).headers["x-moa-cache"])
    assert found == statuses


async def test_the_cache_is_off_by_default_and_a_request_can_switch_it_off() -> None:
    engine = CountingEngine()
    async with client_of(cached_app({"m": engine}, MemoryExpiring())) as client:
        plain = [await ask(client, chat()) for _ in range(2)]
    async with client_of(cached_app({"m": engine}, MemoryExpiring(), cache={"ttl_s": 60})) as client:
        statuses = [(await ask(client, chat())).headers["x-moa-cache"] for _ in range(2)]
        off = await ask(client, {**chat(), "moa": {"cache": "off"}})
    assert all("x-moa-cache" not in one.headers and "moa" not in one.json() for one in plain)
    assert len({one.json()["choices"][0]["message"]["content"] for one in plain}) == 2
    assert statuses == ["stored", "hit"]
    assert "x-moa-cache" not in off.headers


async def test_an_answer_expires() -> None:
    engine, expiring = CountingEngine(), MemoryExpiring()
    async with client_of(cached_app({"m": engine}, expiring)) as client:
        await ask(client, {**chat(), **ON})
        now = expiring.clock()
        expiring.clock = lambda: now + 61
        assert (await ask(client, {**chat(), **ON})).headers["x-moa-cache"] == "stored"


async def test_an_answer_that_is_too_large_is_not_stored() -> None:
    log, expiring = CacheLog(), MemoryExpiring()
    noise = base64.b85encode(bytes(range(256)) * 40).decode()
    words = " ".join(noise[place : place + 7][:: 1 + place % 3] for place in range(0, len(noise), 7))
    engine = ScriptedEngine("m", words)
    app = cached_app({"m": engine}, expiring, observer=log, cache={"max_entry_bytes": 1024})
    async with client_of(app) as client:
        assert (await ask(client, {**chat(), **ON})).headers["x-moa-cache"] == "miss"
    assert log.events == ["miss", "too_large"]
    assert expiring.answers == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_degraded_answer_is_not_stored(stream: bool) -> None:
    engine, log, expiring = HandEngine(), CacheLog(), MemoryExpiring()
    engine.give(Delta("half an answer"), degraded_end("an agent failed"), None)
    async with client_of(cached_app({"m": engine}, expiring, observer=log)) as client:
        answer = await ask(client, {**chat(), **ON, "stream": stream})
    assert answer.headers["x-moa-cache"] == "miss"
    assert '"cache":"miss"' in answer.text
    assert log.events == ["miss", "degraded"]
    assert expiring.answers == []


async def test_a_failed_answer_is_not_stored_and_frees_those_that_wait() -> None:
    gate = asyncio.Event()
    engine, expiring = CountingEngine(), MemoryExpiring()
    engine.intercept = behind(gate, lambda: len(engine.requests) == 1)
    app = cached_app({"m": engine}, expiring)
    async with client_of(app) as client:
        tasks = [asyncio.create_task(client.post(CHAT, json={**chat(), **ON})) for _ in range(3)]
        await until(lambda: app.state.server.cache.flights.waiting == 2)
        await until(lambda: engine.requests)
        gate.set()
        found = sorted([(await task).status_code for task in tasks])
    assert found[:2] == [200, 200]
    assert found[2] >= 500
    assert len(engine.requests) == 3


async def test_equal_requests_wait_for_one_answer() -> None:
    engine, log = HandEngine(), CacheLog()
    app = cached_app({"m": engine}, MemoryExpiring(), observer=log)
    async with client_of(app) as client:
        bodies = [{**chat(), **ON, "stream": stream} for stream in (False, True, False)]
        tasks = [asyncio.create_task(ask(client, body)) for body in bodies]
        await until(lambda: app.state.server.cache.flights.waiting == 2)
        await engine.asked.wait()
        engine.give(Delta("the answer"), END, None)
        answers = await asyncio.gather(*tasks)
    assert len(engine.requests) == 1
    assert all("the answer" in answer.text for answer in answers)
    assert sorted(log.events) == ["hit", "hit", "miss", "stored"]
    assert sorted('"cached":true' in answer.text for answer in answers) == [False, True, True]


async def test_the_next_request_computes_if_the_first_caller_leaves() -> None:
    engine, expiring = HandEngine(), MemoryExpiring()
    app = cached_app({"m": engine}, expiring)
    cache = app.state.server.cache
    async with client_of(app) as client:
        first = asyncio.create_task(ask(client, {**chat(), **ON}))
        await engine.asked.wait()
        others = [asyncio.create_task(ask(client, {**chat(), **ON})) for _ in range(2)]
        await until(lambda: app.state.server.cache.flights.waiting == 2)
        first.cancel()
        await asyncio.wait({first})
        await until(lambda: len(engine.requests) == 2)
        engine.give(Delta("the answer"), END, None)
        answers = await asyncio.gather(*others)
    assert len(engine.requests) == 2
    assert sorted(answer.headers["x-moa-cache"] for answer in answers) == ["hit", "stored"]
    assert len(cache.flights) == 0
    await until(lambda: not [key for key in expiring.values if key.startswith("cache:c:")])


@pytest.mark.parametrize("call", ["claim", "get"])
async def test_a_caller_that_leaves_while_it_claims_leaves_no_claim(call: str) -> None:
    engine, expiring, answering, answer = HandEngine(), MemoryExpiring(), asyncio.Event(), asyncio.Event()
    at_once = getattr(expiring, call)

    async def slow(*given: Any) -> Any:
        done = await at_once(*given)
        if call == "claim" or "claim" in expiring.calls:  # the second look, after the claim
            answering.set()
            await answer.wait()
        return done

    setattr(expiring, call, slow)
    app = cached_app({"m": engine}, expiring)
    async with client_of(app) as client:
        asking = asyncio.create_task(ask(client, {**chat(), **ON}))
        await answering.wait()
        asking.cancel()
        await asyncio.wait({asking})
        answer.set()
        await app.state.server.cache.close()
    assert expiring.values == {}
    assert not engine.requests


async def test_a_request_does_not_wait_longer_than_wait_s() -> None:
    gate = asyncio.Event()
    engine = CountingEngine()
    engine.intercept = behind(gate, lambda: False)
    app = cached_app({"m": engine}, MemoryExpiring(), cache={"wait_s": 0.01})
    async with client_of(app) as client:
        tasks = [asyncio.create_task(ask(client, {**chat(), **ON})) for _ in range(2)]
        await until(lambda: len(engine.requests) == 2)
        gate.set()
        await asyncio.gather(*tasks)
    assert min(request.deadline_s or 0 for request in engine.requests) < 600


async def test_another_process_that_has_the_claim_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "POLL_S", 0.001)
    expiring, engines = MemoryExpiring(), [HandEngine(), HandEngine()]
    apps = [cached_app({"m": engine}, expiring) for engine in engines]
    async with client_of(apps[0]) as one, client_of(apps[1]) as other:
        first = asyncio.create_task(ask(one, {**chat(), **ON}))
        await engines[0].asked.wait()
        second = asyncio.create_task(ask(other, {**chat(), **ON, "stream": True}))
        looks = len(expiring.calls)
        await until(lambda: len(expiring.calls) > looks + 6)
        engines[0].give(Delta("the answer"), END, None)
        answers = [await first, await second]
    assert not engines[1].asked.is_set()
    assert answers[1].headers["x-moa-cache"] == "hit"
    assert "the answer" in answers[1].text


async def test_an_answer_that_another_process_stores_between_look_and_claim_is_not_computed_again() -> None:
    expiring, engine = MemoryExpiring(), CountingEngine()
    async with client_of(cached_app({"m": engine}, expiring)) as client:
        await ask(client, {**chat(), **ON})
        (key,) = expiring.answers
        stored, claim = expiring.values.pop(key), expiring.claim

        async def other_ends(*given: Any) -> bool:
            expiring.values[key] = stored
            return await claim(*given)

        expiring.claim = other_ends
        assert (await ask(client, {**chat(), **ON})).headers["x-moa-cache"] == "hit"
    assert len(engine.requests) == 1


async def test_the_death_of_another_process_frees_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "POLL_S", 0.001)
    expiring, engine = MemoryExpiring(), CountingEngine()
    app = cached_app({"m": engine}, expiring)
    async with client_of(app) as client:
        await ask(client, {**chat(), **ON})
        (key,) = expiring.answers
        expiring.values = {key.replace("cache:a:", "cache:c:"): (b"the dead", expiring.clock() + 9)}
        waiting = asyncio.create_task(ask(client, {**chat(), **ON}))
        looks = len(expiring.calls)
        await until(lambda: len(expiring.calls) > looks + 6)
        assert len(engine.requests) == 1
        now = expiring.clock()
        expiring.clock = lambda: now + 10
        assert (await waiting).headers["x-moa-cache"] == "stored"


async def test_answers_go_on_without_the_store() -> None:
    engine, expiring, log = CountingEngine(), MemoryExpiring(), CacheLog()
    expiring.away = True
    app = cached_app({"m": engine}, expiring, observer=log)
    async with client_of(app) as client:
        statuses = [(await ask(client, {**chat(), **ON})).headers["x-moa-cache"] for _ in range(2)]
        assert statuses == ["miss", "miss"]
        assert "error" in log.events
        assert len(expiring.calls) == 1, "a store that is away is left alone for some seconds"
        expiring.away = False
        app.state.server.cache._away_until = 0.0
        statuses = [(await ask(client, {**chat(), **ON})).headers["x-moa-cache"] for _ in range(2)]
    assert statuses == ["stored", "hit"]


async def test_a_store_that_is_lost_while_an_answer_is_computed_costs_only_the_storing() -> None:
    engine, expiring = HandEngine(), MemoryExpiring()
    async with client_of(cached_app({"m": engine}, expiring)) as client:
        asking = asyncio.create_task(ask(client, {**chat(), **ON}))
        await engine.asked.wait()
        expiring.away = True
        engine.give(Delta("the answer"), END, None)
        answer = await asking
    assert answer.headers["x-moa-cache"] == "miss"
    assert "the answer" in answer.text


async def test_a_slow_store_does_not_hold_an_answer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "WRITE_WAIT_S", 0.0)
    expiring, written, put = MemoryExpiring(), asyncio.Event(), MemoryExpiring.put

    async def slow(key: str, value: bytes, ttl_s: float) -> None:
        await written.wait()
        await put(expiring, key, value, ttl_s)

    expiring.put = slow
    app = cached_app({"m": CountingEngine()}, expiring)
    async with client_of(app) as client:
        assert (await ask(client, {**chat(), **ON})).headers["x-moa-cache"] == "miss"
        written.set()
        await app.state.server.cache.close()
        assert (await ask(client, {**chat(), **ON})).headers["x-moa-cache"] == "hit"


async def test_a_damaged_entry_is_computed_again() -> None:
    engine, expiring = CountingEngine(), MemoryExpiring()
    async with client_of(cached_app({"m": engine}, expiring)) as client:
        await ask(client, {**chat(), **ON})
        (key,) = expiring.answers
        expiring.values[key] = (b"moa1 nonsense", expiring.clock() + 60)
        statuses = [(await ask(client, {**chat(), **ON})).headers["x-moa-cache"] for _ in range(2)]
    assert statuses == ["stored", "hit"]


async def test_a_hit_costs_no_tokens_and_is_counted_as_a_request() -> None:
    log = CacheLog()
    engine = ScriptedEngine("m", "one two")
    async with client_of(cached_app({"m": engine}, MemoryExpiring(), observer=log)) as client:
        first, second = [(await ask(client, {**chat(), **ON})).json() for _ in range(2)]
    assert second["usage"] == first["usage"]
    (end,) = log.ends  # the engine here is not observed
    assert (end.outcome, end.usage, end.tpot_s) == ("ok", None, None)
    assert end.ttft_s is not None
    assert log.running == 0


REFUSED: Mapping[str, tuple[Any, str]] = {
    "text": ("on", "moa.cache"),
    "number": (60, "moa.cache"),
    "field": ({"ttl_s": 60, "x": 1}, "moa.cache"),
    "nothing": ({}, "moa.cache"),
    "zero": ({"ttl_s": 0}, "moa.cache.ttl_s"),
    "true": ({"ttl_s": True}, "moa.cache.ttl_s"),
    "word": ({"ttl_s": "60"}, "moa.cache.ttl_s"),
    "long": ({"ttl_s": 86_401}, "moa.cache.ttl_s"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_wrong_options_are_refused_by_name(name: str) -> None:
    value, field = REFUSED[name]
    engine = CountingEngine()
    async with client_of(cached_app({"m": engine}, MemoryExpiring())) as client:
        for path, body in ((CHAT, chat()), (RESPONSES, {"model": "m", "input": "x"})):
            response = await client.post(path, json={**body, "moa": {"cache": value}})
            assert response.status_code == 400
            assert response.json()["error"]["param"] == field
    assert not engine.requests


@pytest.mark.parametrize(("field", "value"), [("events", True), ("show", "reasoning"), ("preview", True)])
async def test_events_of_a_run_are_not_stored(field: str, value: Any) -> None:
    engine, log = CountingEngine(), CacheLog()
    app = cached_app({"m": engine}, MemoryExpiring(), recipes=("m",), observer=log, cache={"ttl_s": 60})
    async with client_of(app) as client:
        asked = await client.post(CHAT, json={**chat(), "stream": True, "moa": {field: value, "cache": {"ttl_s": 9}}})
        assert (asked.status_code, asked.json()["error"]["param"]) == (400, f"moa.{field}")
        answer = await ask(client, {**chat(), "stream": True, "moa": {field: value}})
    assert "x-moa-cache" not in answer.headers
    assert log.events == ["live"]


@pytest.mark.parametrize("settings", [{"cache": {"enabled": False}}])
async def test_a_server_without_a_cache_refuses_the_option(settings: dict[str, Any]) -> None:
    async with client_of(cached_app({"m": CountingEngine()}, MemoryExpiring(), **settings)) as client:
        response = await client.post(CHAT, json={**chat(), **ON})
        off = await ask(client, {**chat(), "moa": {"cache": "off"}})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "moa.cache")
    assert "x-moa-cache" not in off.headers


async def test_a_cancelled_answer_is_not_stored() -> None:
    engine, expiring = HandEngine(), MemoryExpiring()
    app = cached_app({"m": engine}, expiring)
    async with client_of(app) as client:
        asking = asyncio.create_task(ask(client, {**chat(), **ON}))
        await engine.asked.wait()
        engine.give(Delta("half of"))
        asking.cancel()
        await asyncio.wait({asking})
        await until(engine.closed.is_set)
    assert expiring.answers == []
    assert len(app.state.server.cache.flights) == 0


class KeepingEngine(CountingEngine):
    """A model that asks for the cache, as a recipe with the setting does."""

    def caching(self, request: GenerateRequest) -> CacheOption | None:
        return CacheOption(60)


async def test_settings_of_a_recipe_switch_it_on_and_a_request_comes_first() -> None:
    async with client_of(cached_app({"m": KeepingEngine()}, MemoryExpiring())) as client:
        statuses = [(await ask(client, chat())).headers["x-moa-cache"] for _ in range(2)]
        off = await ask(client, {**chat(), "moa": {"cache": "off"}})
    assert statuses == ["stored", "hit"]
    assert "x-moa-cache" not in off.headers


@pytest.mark.parametrize(
    ("engine", "settings", "warned"),
    [(CountingEngine(), {}, False), (KeepingEngine(), {}, True), (CountingEngine(), {"cache": {"ttl_s": 60}}, True)],
)
async def test_a_server_without_a_store_says_that_it_caches_nothing(
    engine: CountingEngine, settings: dict[str, Any], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of({"m": engine}, **settings)
    assert ("no store" in caplog.text) is warned
    async with client_of(app) as client:
        answer = await ask(client, chat())
        refused = await client.post(CHAT, json={**chat(), **ON})
    assert "x-moa-cache" not in answer.headers
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "moa.cache")

"""Two keys on one server: nothing that one asks is seen by the other, in counts, in calls or in turn."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from serving.api import ApiSettings, create_app
from serving.engines.caching import CachingEngine
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.tenant import PRIORITIES
from serving.types import GenerateRequest
from tests.support.api import chat, client_of, status_and_code
from tests.support.clock import simulated_time

KEYS = (
    {"name": "a", "key": "key-of-a", "priority_class": "interactive"},
    {"name": "b", "key": "key-of-b", "max_in_flight": 1},
)
PATHS = {
    "/v1/chat/completions": chat(),
    "/v1/responses": {"model": "m", "input": "Hello"},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/completions": {"model": "m", "prompt": ["Hello", "Bye"]},
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def served(engine: ScriptedEngine, *recipes: dict[str, Any], **settings: Any) -> ASGIApp:
    orchestrator = Orchestrator({"m": engine}, load_recipes(list(recipes)))
    return create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(**{"keys": KEYS, **settings}))


async def post(app: ASGIApp, key: str, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> Any:
    async with client_of(app, **{"x-api-key": f"key-of-{key}", **headers}) as client:
        return await client.post(path, json=body)


async def both(app: ASGIApp, *keys: str, **fields: Any) -> list[httpx.Response]:
    """The same deterministic question of all `keys` at the same time."""
    return await asyncio.gather(*(post(app, key, chat(temperature=0, **fields)) for key in keys))


@pytest.mark.parametrize(("keys", "share", "calls"), [("ab", False, 2), ("aa", False, 1), ("ab", True, 1)])
async def test_equal_calls_are_one_within_a_tenant_only(keys: str, share: bool, calls: int) -> None:
    engine = ScriptedEngine("m", ttft_s=0.01)
    answers = await both(served(engine, share_between_keys=share), *keys)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(engine.requests) == calls


@pytest.mark.parametrize("path", PATHS)
async def test_every_dialects_calls_are_the_callers(path: str) -> None:
    engine = ScriptedEngine("m")
    app = served(engine)
    for key in "ab":
        assert (await post(app, key, PATHS[path], path)).status_code == 200
    salts = [request.prefix_salt for request in engine.requests]
    half = len(salts) // 2
    assert len({*salts[:half]}) == len({*salts[half:]}) == 1
    assert salts[0] != salts[-1]
    assert None not in salts
    levels = [request.priority for request in engine.requests]
    assert {*levels[:half]} == {-PRIORITIES * 64}
    assert {*levels[half:]} == {0}


@pytest.mark.parametrize("priority", [-1, -(2**31), PRIORITIES])
@pytest.mark.parametrize("path", PATHS)
async def test_no_caller_steps_out_of_its_class(path: str, priority: int) -> None:
    engine = ScriptedEngine("m")
    for app in (served(engine), served(engine, keys=())):
        answer = await post(app, "b", {**PATHS[path], "priority": priority}, path)
        assert answer.status_code == 400
        message = answer.json()["error"]["message"]
        assert message.startswith("Set 'priority' to at ")
        assert message.endswith(f", not {priority}.")
    assert not engine.requests


async def test_layers_and_their_prefills_stay_in_the_class_and_the_cache_of_the_caller() -> None:
    engine = ScriptedEngine("m", "a long answer " * 40, itl_s=0.001)
    recipe = {"id": "team", "layers": [["m", {"model": "m", "system": "x"}]] * 2, "aggregator": "m", "temperature": 1}
    app = served(engine, recipe, share_between_keys=False)
    for key, lowest, highest in (("a", -PRIORITIES * 64 - 63, -PRIORITIES * 64), ("b", -63, 0)):
        engine.requests.clear()
        engine.prefills.clear()
        assert (await post(app, key, chat("team"))).status_code == 200
        assert len(engine.requests) == 5
        assert all(lowest <= request.priority <= highest for request in engine.requests)
        assert engine.prefills
        ahead: list[GenerateRequest] = [request for request, _ in engine.prefills]
        assert len({request.prefix_salt for request in (*engine.requests, *ahead)}) == 1


async def test_a_key_at_its_limit_is_told_so_and_the_other_is_served() -> None:
    engine = ScriptedEngine("m", hang=True)
    app = served(engine)
    waiting = asyncio.create_task(post(app, "b", chat()))
    while not engine.running:  # noqa: ASYNC110 - engines have no event to wait for
        await asyncio.sleep(0)
    refused = await post(app, "b", chat())
    assert status_and_code(refused) == (429, "overloaded")
    assert "'b' has 1 requests in progress, its limit" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "1"
    engine.hang = False
    assert (await post(app, "a", chat())).status_code == 200
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(("share", "asked"), [(False, 2), (True, 1)])
async def test_the_advice_of_one_tenants_session_is_not_anothers(share: bool, asked: int) -> None:
    """The second asks what follows the first's tool call, under the same session, as if it had made it."""
    engine = ScriptedEngine("m", tools=True)
    recipe = {"id": "team", "layers": [["m", "m"]], "aggregator": "m", "temperature": 1, "prefill": "off"}
    app = served(engine, recipe, share_between_keys=share)
    called = {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    loop = [*chat()["messages"], called, {"role": "tool", "tool_call_id": "c", "content": "9"}]
    first = await post(app, "a", chat("team", tools=[TOOL], prompt_cache_key="s"), **{"x-session-id": "s"})
    before = len(engine.requests)
    body = {**chat("team", tools=[TOOL], prompt_cache_key="s"), "messages": loop}
    second = await post(app, "b", body, **{"x-session-id": "s"})
    assert (first.status_code, second.status_code, before) == (200, 200, 2)
    assert len(engine.requests) - before == asked
    again = await post(app, "a", body)
    assert again.status_code == 200
    assert len(engine.requests) - before - asked == 1  # the final agent alone


async def test_sessions_of_the_same_name_are_apart() -> None:
    engine = ScriptedEngine("m")
    app = served(engine)
    for key in "aab":
        await post(app, key, chat(prompt_cache_key="s"))
    first, again, other = (request.session for request in engine.requests)
    assert first == again != other


async def test_a_callers_salt_is_not_replaced_and_does_not_replace() -> None:
    engine = ScriptedEngine("m")
    app = served(engine)
    for key, fields in (("a", {}), ("a", {"cache_salt": "mine"}), ("b", {"cache_salt": "mine"}), ("b", {})):
        await post(app, key, chat(**fields))
    salts = [request.prefix_salt for request in engine.requests]
    assert len({*salts}) == 4
    assert all(salt and "key-of" not in salt for salt in salts)


@pytest.mark.parametrize(("share", "same"), [(False, True), (True, False)])
@simulated_time
async def test_counts_and_times_are_those_of_a_question_that_nobody_asked(share: bool, same: bool) -> None:
    """One tenant asks what the other has asked and is asking, or never did, through a model and through a recipe."""

    async def seen(asked_before: bool, model: str) -> tuple[Any, float]:
        engine = CachingEngine("m", ScriptedEngine("m", ttft_s=1.0), 10.0)
        recipe = {"id": "team", "layers": [["m", "m"]], "aggregator": "m"}
        orchestrator = Orchestrator({"m": engine}, load_recipes([recipe]))
        app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(keys=KEYS, share_between_keys=share))
        body = {**chat(model, temperature=0), "messages": [{"role": "user", "content": "a question of some length"}]}
        other = {**body, "messages": [{"role": "user", "content": "something else as long"}]}
        for _ in range(2):
            assert (await post(app, "a", body if asked_before else other)).status_code == 200
        now = asyncio.create_task(post(app, "a", body if asked_before else other))
        await asyncio.sleep(0.25)
        loop = asyncio.get_running_loop()
        began = loop.time()
        usage = (await post(app, "b", body)).json()["usage"]
        took = loop.time() - began
        await now
        return usage, round(took, 6)

    for model in ("m", "team"):
        assert (await seen(True, model) == await seen(False, model)) is same

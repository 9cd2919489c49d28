"""Reading and parsing of bodies."""

import asyncio
import threading
from itertools import count
from typing import Any

import pytest

from serving.api.dependencies import LARGE_BYTES, LARGE_VALUES, Server, body_parser
from serving.api.exchange import HttpExchange
from serving.api.keys import Caller
from serving.api.settings import ApiSettings
from serving.engines.scripted import ScriptedEngine
from serving.errors import InvalidRequest
from tests.support.api import app_of


def server() -> Server:
    made: Server = app_of({"m": ScriptedEngine("m")}).state.server
    return made


def exchange(body: bytes) -> HttpExchange:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(_: Any) -> None:
        raise AssertionError

    return HttpExchange({"method": "POST", "path": "/", "headers": []}, receive, send)


def beside_loop(raw: bytes, settings: ApiSettings) -> bool:
    return threading.current_thread() is not threading.main_thread()


@pytest.mark.parametrize(
    ("body", "beside"),
    [
        (b"x", False),
        (b"x" * (LARGE_BYTES - 1), False),
        (b"x" * LARGE_BYTES, True),
        (b"[" * (LARGE_VALUES - 1), False),
        (b"[" * LARGE_VALUES, True),
        (b'"a",' * LARGE_VALUES, True),
    ],
    ids=["small", "just small", "long", "just simple", "lists", "texts"],
)
async def test_only_a_large_body_is_parsed_beside_the_event_loop(body: bytes, beside: bool) -> None:
    assert await body_parser(beside_loop)(server(), exchange(body)) == beside


async def test_large_bodies_of_one_caller_are_parsed_one_after_the_other() -> None:
    """Those of others are not behind them, and small ones do not wait."""
    parts, places = server(), count()
    entered, free = {name: threading.Event() for name in "ab"}, threading.Event()
    running: set[str] = set()

    def parse(raw: bytes, settings: ApiSettings) -> int:
        name = chr(raw[0])
        if len(raw) < LARGE_BYTES:
            return next(places)
        assert name not in running
        running.add(name)
        entered[name].set()
        assert free.wait(20)
        running.remove(name)
        return next(places)

    def ask(name: str, size: int) -> "asyncio.Task[int]":
        asked = exchange(name.encode() * size)
        asked.caller = Caller(name)
        return asyncio.create_task(body_parser(parse)(parts, asked))

    many = [ask("a", LARGE_BYTES) for _ in range(5)]
    other = ask("b", LARGE_BYTES)
    assert await asyncio.to_thread(entered["a"].wait, 20)
    assert await asyncio.to_thread(entered["b"].wait, 20)
    assert await ask("a", 1) == 0
    assert not other.done()
    free.set()
    assert sorted([*await asyncio.gather(*many), await other]) == [1, 2, 3, 4, 5, 6]


async def test_a_body_that_is_wrong_lets_the_next_one_of_its_caller_be_parsed() -> None:
    def parse(raw: bytes, settings: ApiSettings) -> int:
        if raw[0] == ord("x"):
            raise InvalidRequest("Wrong.")
        return len(raw)

    parts = server()
    with pytest.raises(InvalidRequest):
        await body_parser(parse)(parts, exchange(b"x" * LARGE_BYTES))
    assert await body_parser(parse)(parts, exchange(b"y" * LARGE_BYTES)) == LARGE_BYTES


async def test_what_is_wrong_with_a_large_body_is_raised() -> None:
    def parse(raw: bytes, settings: ApiSettings) -> None:
        raise InvalidRequest("Wrong.")

    with pytest.raises(InvalidRequest, match="Wrong"):
        await body_parser(parse)(server(), exchange(b"x" * LARGE_BYTES))


async def test_a_caller_that_is_gone_has_its_next_body_wait_for_the_thread() -> None:
    """A thread cannot be stopped: by hanging up, a caller would have as many bodies parsed at once as it likes."""
    parts, free = server(), threading.Event()
    entered = [threading.Event() for _ in range(2)]

    def parse(raw: bytes, settings: ApiSettings) -> int:
        entered[raw[0]].set()
        assert free.wait(20)
        return raw[0]

    def ask(place: int) -> "asyncio.Task[int]":
        return asyncio.create_task(body_parser(parse)(parts, exchange(bytes([place]) * LARGE_BYTES)))

    gone, later = ask(0), ask(1)
    assert await asyncio.to_thread(entered[0].wait, 20)
    gone.cancel()
    assert not await asyncio.to_thread(entered[1].wait, 0.1)
    assert parts.body_budget.held_bytes == 2 * LARGE_BYTES
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await later == 1
    assert parts.body_budget.held_bytes == 0

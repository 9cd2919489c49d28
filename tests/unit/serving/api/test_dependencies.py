"""Reading and parsing of bodies."""

import threading
from typing import Any

import pytest

from serving.api.dependencies import LARGE_BYTES, Server, body_parser
from serving.api.exchange import HttpExchange
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


@pytest.mark.parametrize(("size", "beside"), [(1, False), (LARGE_BYTES - 1, False), (LARGE_BYTES, True)])
async def test_only_a_large_body_is_parsed_beside_the_event_loop(size: int, beside: bool) -> None:
    def parse(raw: bytes, settings: ApiSettings) -> tuple[int, bool]:
        return len(raw), threading.current_thread() is not threading.main_thread()

    assert await body_parser(parse)(server(), exchange(b"x" * size)) == (size, beside)


async def test_what_is_wrong_with_a_large_body_is_raised() -> None:
    def parse(raw: bytes, settings: ApiSettings) -> None:
        raise InvalidRequest("Wrong.")

    with pytest.raises(InvalidRequest, match="Wrong"):
        await body_parser(parse)(server(), exchange(b"x" * LARGE_BYTES))

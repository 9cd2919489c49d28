import asyncio
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from loadtest.errors import LoadError
from loadtest.target import find_target
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from tests.support.api import app_of, running


async def test_the_first_model_served_is_the_target_where_none_is_named() -> None:
    async with running(app_of({"m": ScriptedEngine("m"), "n": ScriptedEngine("n")})) as host:
        found = await asyncio.to_thread(find_target, host, "")
    assert (found.host, found.model, found.recipe) == (host, "m", False)
    assert found.tokens.per_word > 0


async def test_a_model_that_is_not_served_is_refused_with_the_names_of_those_that_are() -> None:
    async with running(app_of({"m": ScriptedEngine("m")})) as host:
        with pytest.raises(LoadError, match="does not serve 'nobody'; choose one of: m"):
            await asyncio.to_thread(find_target, host, "nobody")


async def test_an_error_of_the_server_is_quoted() -> None:
    async with running(app_of({"m": ScriptedEngine("m", error=EngineFailed("m", "it broke"))})) as host:
        with pytest.raises(LoadError, match=r"/v1/chat/completions answered 502: .*it broke"):
            await asyncio.to_thread(find_target, host, "m")


def test_a_host_that_does_not_answer_is_named() -> None:
    with pytest.raises(LoadError, match=r"http://127\.0\.0\.1:9 does not answer .*start the server"):
        find_target("http://127.0.0.1:9", "m")


def test_a_redirect_is_refused_and_the_other_host_hears_nothing() -> None:
    heard: list[str | None] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["authorization"])
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    other = HTTPServer(("127.0.0.1", 0), Other)
    location = f"http://localhost:{other.server_port}/v1/models"

    class Redirecting(Other):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", location)
            self.end_headers()

    first = HTTPServer(("127.0.0.1", 0), Redirecting)
    for server in (first, other):
        Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(LoadError, match=f"redirects to {location}; give the host that answers directly"):
            find_target(f"http://127.0.0.1:{first.server_port}", "", "secret")
    finally:
        for server in (first, other):
            server.shutdown()
            server.server_close()
    assert heard == []

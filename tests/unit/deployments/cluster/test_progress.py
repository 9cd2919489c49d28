"""Progress of a start: readiness of the API, and the command that is printed for it."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deployments.cluster.progress import addresses, how_to_ask, is_ready
from deployments.config import PROFILES, load_profile
from tests.support.server import free_port


@contextmanager
def server(status: int) -> Iterator[str]:
    """The URL of a server whose every answer has `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ready" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}"
        finally:
            httpd.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_readiness_is_the_status_of_the_answer(status: int, ready: bool) -> None:
    with server(status) as url:
        assert is_ready(url) is ready


def test_a_server_that_does_not_listen_is_not_ready() -> None:
    assert not is_ready(f"http://127.0.0.1:{free_port()}")


def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with server(200) as url:
        assert is_ready(url)


def test_the_first_address_is_that_of_the_console() -> None:
    found = re.findall(r"http\S+", "\n".join(addresses("http://127.0.0.1:8000")))
    assert found == ["http://127.0.0.1:8000/console", "http://127.0.0.1:8000/v1"]


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_the_printed_command_asks_a_model_that_is_served(name: str) -> None:
    line = "\n".join(how_to_ask(load_profile(name), "http://127.0.0.1:8000"))
    body = re.search(r"-d '(.*)'", line)
    assert body is not None
    assert json.loads(body.group(1))["model"] == "moa-lite"

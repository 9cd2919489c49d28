"""A web page that draws the dashboards without Grafana: its files, and Prometheus' API for it."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from deployments.watch.dashboards import dashboards
from serving.ports import LOOPBACK, check_port

FILES = Path(__file__).with_name("page")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
QUERIES = ("/api/v1/query", "/api/v1/query_range", "/api/v1/alerts", "/api/v1/label/")  # all that the page asks
TIMEOUT_S = 30.0


class Page(BaseHTTPRequestHandler):
    """Answers GET: the page, its files, the dashboards, and Prometheus' queries, which are passed on."""

    prometheus: str
    client: httpx.Client

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(QUERIES):
            self._pass_on()
        elif path == "/dashboards.json":
            self._send(200, "application/json", json.dumps(dashboards()).encode())
        elif path == "/plotly.js":
            self._send(200, TYPES[".js"], _plotly())
        else:
            self._file("index.html" if path == "/" else path[1:])

    def _file(self, name: str) -> None:
        file = next((file for file in FILES.iterdir() if file.name == name), None)
        if file is None:
            self._send(404, "text/plain; charset=utf-8", b"There is no such page.\n")
        else:
            self._send(200, TYPES[file.suffix], file.read_bytes())

    def _pass_on(self) -> None:
        try:
            answer = self.client.get(f"{self.prometheus}{self.path}")
        except httpx.HTTPError:
            self._send(502, "application/json", b'{"status": "error", "error": "Prometheus does not answer."}')
        else:
            self._send(answer.status_code, "application/json", answer.content)

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Print nothing: the page asks every few seconds."""


class Server(ThreadingHTTPServer):
    """The page's server; a browser that leaves is no error."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _plotly() -> bytes:
    from plotly.offline import get_plotlyjs  # 5 MB: only for who opens the page

    script: Callable[[], str] = get_plotlyjs
    return script().encode()


@contextmanager
def serving_page(port: int, prometheus: str) -> Iterator[None]:
    """Serve the page on `port` of the loopback interface; `prometheus`: URL of the Prometheus whose data it draws.

    Raises:
        ConfigError: the port is in use.
    """
    check_port(LOOPBACK, port, "add --page-port NUMBER")
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        handler = type("Handler", (Page,), {"prometheus": prometheus, "client": client})
        server = Server((LOOPBACK, port), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True, name="page")
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

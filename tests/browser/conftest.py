"""A browser and a server over scripted engines whose pace the tests decide."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from serving.api import ApiSettings, create_app
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.browser import TIMEOUT_MS, launched, new_page
from tests.support.console import TEAM, Script


@pytest.fixture(scope="session", autouse=True)
def timeouts() -> None:
    """Of `expect`, whose own default of 5 s is short for a busy machine."""
    expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture
def script() -> Script:
    """The models' answers; a test changes them before it asks."""
    return Script()


@pytest.fixture
def serve(script: Script) -> Iterator[Callable[..., str]]:
    """A function that starts the server and returns its address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**settings: Any) -> str:
        orchestrator = Orchestrator(script.engines, load_recipes(["moa-lite", "moa"], TEAM))
        app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings(**settings))
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            thread.join(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    script.release()
    for server, thread in servers:
        server.should_exit = True
        thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with new_page(browser) as found:
        yield found

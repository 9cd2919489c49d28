"""A browser and a server over scripted engines whose pace the tests decide."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import TIMEOUT_MS, launched, new_page
from tests.support.console import Script, console


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
    with ExitStack() as servers:
        yield lambda **settings: servers.enter_context(console(script, **settings))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with new_page(browser) as found:
        yield found

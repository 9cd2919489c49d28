"""A browser, a server over scripted engines whose pace the tests decide, and HTML reports."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import TIMEOUT_MS, launched, new_page
from tests.support.console import Script, console
from tests.support.reports import write_pages


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


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("reports"))


@pytest.fixture
def opened(pages: dict[str, Path], page: Page) -> Callable[..., Page]:
    """A function that opens a page, until its plots and answers are there."""

    def opened(kind: str, width: int = 1280, scheme: str = "light", path: Path | None = None) -> Page:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto((path or pages[kind]).as_uri())
        if page.locator("#data-plots").count():
            expect(page.locator("html")).to_have_attribute("data-plots", "drawn")
        if page.locator("#answers").count():
            expect(page.locator("html")).to_have_attribute("data-answers", "shown")
        return page

    return opened

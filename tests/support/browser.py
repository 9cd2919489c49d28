"""Debian's chromium, driven with Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
DESKTOP = {"width": 1280, "height": 800}
TIMEOUT_MS = 60_000


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root, as containers run tests. It opens this project's page only.
        sandbox = os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=sandbox)
        yield browser
        browser.close()


def wait_until(page: Page, met: Callable[[], object]) -> None:
    """Return as soon as the condition, of something outside of the page, is met; fail after `TIMEOUT_MS`."""
    for _ in range(TIMEOUT_MS // 50):
        if met():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it does not happen")


@contextmanager
def new_page(browser: Browser) -> Iterator[Page]:
    """A page in a profile of its own. Errors of its scripts, and what its policy forbids, fail the test at the end."""
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert errors == []

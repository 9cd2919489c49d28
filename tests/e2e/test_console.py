"""The console in a browser, against the trio on vLLM: ask, watch the layer fill, stop, reload."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import MODELS
from tests.support.browser import TIMEOUT_MS, launched, new_page
from tests.support.server import Server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with launched() as found:
        yield found


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with new_page(browser) as found:
        found.goto(f"{server.url}/console")
        expect(found.locator("#model")).to_have_value("moa-lite")
        yield found


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def test_three_models_answer_and_one_joins_them(page: Page) -> None:
    page.evaluate(
        """() => {
            window.order = [];
            new MutationObserver(() => {
                const filled = document.querySelectorAll('.column[data-layer="1"] .card-text:not(:empty)').length;
                const begun = document.querySelector('.answer-text')?.textContent ? 1 : 0;
                window.order.push([filled, begun]);
            }).observe(document.body, {childList: true, subtree: true, characterData: true});
        }"""
    )
    ask(page, "What is 17 + 25?")
    expect(page.locator(".waterfall .lane")).to_have_count(4)
    expect(page.locator(".answer-text")).to_contain_text("42")
    assert {name.text_content() for name in page.locator('.column[data-layer="1"] .model').all()} == set(MODELS)
    assert any(filled and not begun for filled, begun in page.evaluate("window.order"))
    page.reload()
    expect(page.locator(".answer-text")).to_contain_text("42")


def test_a_stopped_question_leaves_the_server_ready(page: Page) -> None:
    page.click("#settings-button")
    page.fill('[name="max_tokens"]', "400")
    ask(page, "Tell me a long story about the sea.")
    expect(page.locator(".card").first).to_be_visible()
    if page.locator("#stop").is_visible():  # a short answer may have ended by itself
        page.keyboard.press("Escape")
    expect(page.locator("#send")).to_be_visible()
    ask(page, "What is 2 + 3?")
    expect(page.locator(".waterfall").last).to_be_visible()


def test_one_model_is_compared_with_the_team(page: Page) -> None:
    ask(page, "What is 17 + 25?")
    page.get_by_role("button", name="Ask one model too").click()
    expect(page.locator(".sums thead th").last).to_have_text("ratio")

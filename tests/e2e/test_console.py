"""The console in a browser, against the trio on vLLM: ask, watch the layers fill, stop, compare, reload."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import MODELS
from tests.support.browser import TIMEOUT_MS, launched, new_page
from tests.support.console_page import finished, open_console, open_settings
from tests.support.server import Server

# Notes each state of the page in `window.seen`: the layers with a filled card, and whether the answer has begun.
WATCH = """() => {
    window.seen = [];
    new MutationObserver(() => {
        const of = (card) => `${card.closest('.column').dataset.layer} ${card.querySelector('.model').textContent}`;
        const filled = [...document.querySelectorAll('.card:has(.card-text:not(:empty))')].map(of);
        window.seen.push({ filled, begun: Boolean(document.querySelector('.answer-text')?.textContent) });
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with launched() as found:
        yield found


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with new_page(browser) as found:
        open_console(found, server.url)
        expect(found.locator("#model")).to_have_value("moa-lite")
        yield found


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def filled_before_the_answer(page: Page) -> set[str]:
    """Cards with text at some moment at which the answer had not begun, as "layer model"."""
    seen = page.evaluate("window.seen")
    assert seen[-1]["begun"]
    return {card for state in seen if not state["begun"] for card in state["filled"]}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 17 + 25?", "42"),
        ("What is the capital of France?", "Paris"),
        ("Spell the word planet backwards.", "tenalp"),
    ],
)
def test_a_newcomer_clicks_an_example_and_sees_three_models_answer_and_one_join_them(
    page: Page, question: str, answer: str
) -> None:
    page.evaluate(WATCH)
    page.get_by_role("button", name=question).click()
    finished(page)
    expect(page.locator(".answer-text")).to_contain_text(answer)
    expect(page.locator(".waterfall .lane")).to_have_count(4)
    assert filled_before_the_answer(page) == {f"1 {model}" for model in MODELS}
    page.reload()
    expect(page.locator(".answer-text")).to_contain_text(answer)
    expect(page.locator(".waterfall .lane")).to_have_count(4)


def test_every_layer_appears_before_the_answer(page: Page) -> None:
    page.select_option("#model", "moa")
    page.evaluate(WATCH)
    ask(page, "What is the capital of Italy?")
    finished(page)
    assert filled_before_the_answer(page) == {f"{layer} {model}" for layer in (1, 2) for model in MODELS}


def test_settings_of_the_form_change_the_run(page: Page) -> None:
    open_settings(page)
    page.fill('[name="moa.layers"]', "2")
    page.uncheck('[name="moa.models"][value="tiny-mixtral"]')
    page.select_option('[name="reasoning_effort"]', "low")
    page.keyboard.press("Tab")
    ask(page, "What is 17 + 25?")
    finished(page)
    expect(page.locator(".waterfall .lane")).to_have_count(5)
    expect(page.locator(".answer > .thoughts .thought")).not_to_be_empty()


def test_a_stopped_question_leaves_the_server_ready(page: Page) -> None:
    page.evaluate(  # a stop as soon as anything is there: short answers end by themselves
        """() => new MutationObserver(() => document.querySelector('.card') && document.getElementById('stop').click())
            .observe(document.getElementById('turns'), { childList: true, subtree: true })"""
    )
    ask(page, "Tell me a long story about the sea.")
    expect(page.locator(".turn .note").first).to_contain_text("Stopped.")
    page.reload()
    expect(page.locator(".turn .note").first).to_contain_text("Stopped.")
    ask(page, "What is 2 + 3?")
    finished(page)


def test_one_model_is_compared_with_the_team(page: Page) -> None:
    ask(page, "What is 17 + 25?")
    page.get_by_role("button", name="Compare with one model").click()
    expect(page.locator(".sums thead th").last).to_have_text("ratio")
    expect(page.locator(".turn.one .answer-text")).not_to_be_empty()


@pytest.mark.parametrize("width", [390, 1280])
def test_every_recipe_fits_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for recipe in page.locator('#model optgroup[label="Recipes"] option').all_text_contents():
        page.click("#fresh")
        page.select_option("#model", recipe)
        ask(page, "What is 3 + 4?")
        expect(page.locator(".waterfall, .note.bad").first).to_be_visible()
        expect(page.locator(".note.bad")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, recipe

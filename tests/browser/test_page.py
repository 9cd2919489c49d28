"""The page itself: keyboard, widths, themes, words for screen readers."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.console import Script
from tests.support.console_page import ask, finished, open_console, open_settings

Serve = Callable[..., str]


def test_a_newcomer_clicks_an_example(page: Page, serve: Serve):
    open_console(page, serve())
    expect(page.locator("#steps")).to_contain_text("tiny-qwen, tiny-llama and tiny-mixtral answer your question")
    expect(page.locator("#steps")).to_contain_text("tiny-qwen reads their answers and joins them")
    page.get_by_role("button", name="What is 17 + 25?").click()
    finished(page)
    expect(page.locator(".question")).to_have_text("What is 17 + 25?")
    expect(page.locator('.column[data-layer="1"] .card')).to_have_count(3)
    expect(page.locator("#status")).to_have_text("The answer is complete.")


@pytest.mark.parametrize(
    ("model", "heading", "first"),
    [
        (
            "moa-lite",
            "Ask a team of models",
            "tiny-qwen, tiny-llama and tiny-mixtral answer your question, each alone.",
        ),
        ("plan", "Ask a team of models", "A planner splits the task, executors answer the parts"),
        ("auto", "Ask auto", "Chooses by the question, one model for short ones and moa-lite for the rest."),
        ("tiny-llama", "Ask one model", "One model answers your question."),
    ],
)
def test_each_choice_is_introduced(page: Page, serve: Serve, model: str, heading: str, first: str):
    open_console(page, serve())
    page.select_option("#model", model)
    expect(page.locator("#steps li").first).to_contain_text(first)
    expect(page.locator("#steps li").last).to_contain_text("You see")
    expect(page.locator("#invitation")).to_have_text(heading)
    if model in ("plan", "auto"):
        expect(page.locator("#about")).to_be_empty()  # said above


def test_an_alias_is_offered_as_what_it_is(page: Page, serve: Serve):
    open_console(page, serve(aliases={"gpt-4o": "moa-lite", "gpt-4o-mini": "tiny-llama"}))
    others = page.locator('#model optgroup[label="Other names"] option')
    expect(others).to_have_text(["gpt-4o → moa-lite", "gpt-4o-mini → tiny-llama"])
    expect(page.locator("#model")).to_have_value("moa-lite")
    page.select_option("#model", "gpt-4o")
    expect(page.locator("#about")).to_contain_text("Another name of moa-lite.")
    page.fill("#question", "Why?")
    with page.expect_request("**/v1/chat/completions") as sent:
        page.keyboard.press("Enter")
    assert sent.value.post_data_json["model"] == "gpt-4o"
    finished(page)
    expect(page.locator('.column[data-layer="1"] .card')).to_have_count(3)
    expect(page.locator(".offer select option")).to_have_text(["tiny-qwen", "tiny-llama", "tiny-mixtral"])


def test_the_servers_address_alone_is_enough(page: Page, serve: Serve):
    url = serve()
    for path in ("", "/", "/console/"):
        page.goto(f"{url}{path}")
        expect(page.locator("#steps li").first).to_be_visible()
        assert page.url == f"{url}/console"


def test_keys(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    open_console(page, serve())
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(page.locator("#question")).to_have_value("one\ntwo")
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_have_text("one\ntwo")
    expect(page.locator("#question")).to_be_focused()
    page.click("#settings-button")
    page.keyboard.press("Escape")  # closes the panel and stops nothing
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#settings-button")).to_be_focused()
    expect(page.locator("#stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".turn .note")).to_contain_text("Stopped.")


def test_tab_goes_through_the_page_in_its_order(page: Page, serve: Serve):
    open_console(page, serve())
    page.locator("h1").click()
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert order[:4] == ["model", "fresh", "theme", "settings-button"]
    assert order[4].startswith("What is 17")
    assert order[7] == "question"


def test_every_control_has_a_name(page: Page, serve: Serve):
    ask(page, serve())
    finished(page)
    open_settings(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea')].filter((node) =>
            !(node.labels?.length || node.getAttribute('aria-label') || node.textContent.trim()))
            .map((node) => node.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page: Page, serve: Serve, script: Script, width: int):
    script.answer = f"{'wide' * 100}\n\n```\n{'code ' * 100}\n```\n\n| {' | '.join('cell' * 20)} |\n|{'---|' * 20}\n"
    page.set_viewport_size({"width": width, "height": 844})
    ask(page, serve(), "long" * 100)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Compare with one model").click()
    expect(page.locator(".sums thead th").last).to_have_text("ratio")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    open_settings(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_the_systems_until_it_is_chosen(page: Page, serve: Serve):
    def dark() -> bool:
        red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        return int(red) < 100

    page.emulate_media(color_scheme="dark")
    open_console(page, serve())
    assert dark()
    page.click("#theme")
    assert not dark()
    page.reload()
    assert not dark()


def test_reduced_motion_is_respected(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    expect(page.locator(".card .state").first).to_have_text("writing")
    animated = "getComputedStyle(document.querySelector('.card .dot')).animationName"
    assert page.evaluate(animated) == "pulse"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(animated) == "none"

"""The conversation: its history, and what a reload keeps of it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.browser import wait_until
from tests.support.console import PROPOSALS, Script
from tests.support.console_page import ask, card, finished

Serve = Callable[..., str]


def test_a_reload_keeps_the_conversation(page: Page, serve: Serve, script: Script):
    ask(page, serve())
    finished(page)
    page.reload()
    expect(page.locator(".question")).to_have_text("Why is the sky blue?")
    expect(card(page, "tiny-llama").locator(".card-text")).to_have_text(PROPOSALS["tiny-llama"])
    expect(page.locator(".answer-text")).to_contain_text("At sunset")
    expect(page.locator(".waterfall .lane")).to_have_count(4)
    page.fill("#question", "And at night?")
    page.keyboard.press("Enter")
    expect(page.locator(".waterfall")).to_have_count(2)
    read = [message.role for message in script.engines["tiny-llama"].requests[-1].messages]
    assert read[-3:] == ["user", "assistant", "user"]
    page.click("#fresh")
    expect(page.locator("#welcome")).to_be_visible()
    page.reload()
    expect(page.locator("#steps li").first).to_be_visible()
    expect(page.locator(".turn")).to_have_count(0)


def test_a_reload_in_the_middle_keeps_what_there_was_and_ends_the_work(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("writing")
    expect(card(page, "tiny-llama").locator(".card-text")).to_contain_text("Because of Rayleigh")
    page.reload()
    expect(page.locator(".turn .note")).to_have_text("The page was closed or reloaded before the answer ended.")
    expect(card(page, "tiny-llama").locator(".card-text")).to_contain_text("Because of")
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("stopped")
    wait_until(page, lambda: [engine.running for engine in script.engines.values()] == [0, 0, 0])
    script.release()
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".answer-text").last).to_contain_text("At sunset")


def test_damaged_storage_does_no_harm(page: Page, serve: Serve):
    url = serve()
    page.goto(f"{url}/console")
    page.evaluate("for (const name of ['turns', 'settings', 'model']) sessionStorage.setItem(name, '{broken')")
    page.reload()
    expect(page.locator("#steps li").first).to_be_visible()
    expect(page.locator("#model")).to_have_value("moa-lite")


def test_a_long_conversation_drops_its_oldest_turns_from_storage(page: Page, serve: Serve, script: Script):
    script.answer = "x" * 1_500_000
    ask(page, serve(max_tokens=131072))
    finished(page)
    page.fill("#question", "Second?")
    page.keyboard.press("Enter")
    expect(page.locator(".waterfall")).to_have_count(2)
    kept = page.evaluate("JSON.parse(sessionStorage.turns).map(({ question }) => question)")
    assert kept == ["Second?"]

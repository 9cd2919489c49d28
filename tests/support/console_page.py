"""Actions of people on the console's page, and its elements."""

from playwright.sync_api import Locator, Page, expect

QUESTION = "Why is the sky blue?"


def open_console(page: Page, url: str) -> None:
    """Load the page, until its models are there."""
    page.goto(f"{url}/console")
    expect(page.locator("#steps li").first).to_be_visible()


def ask(page: Page, url: str, question: str = QUESTION) -> None:
    """Load the page and ask with the keyboard."""
    open_console(page, url)
    page.fill("#question", question)
    page.keyboard.press("Enter")


def open_settings(page: Page) -> None:
    """Open the panel, until the recipe's settings are there."""
    page.click("#settings-button")
    expect(page.locator("#recipe-fields .field").first).to_be_visible()


def card(page: Page, model: str, layer: int = 1) -> Locator:
    """The card of a model in a layer."""
    return page.locator(f'.column[data-layer="{layer}"] .card', has=page.locator(".model", has_text=model))


def finished(page: Page) -> None:
    """Wait until an answer is complete."""
    expect(page.locator(".waterfall").last).to_be_visible()

"""Pictures of the console for the documents, taken of a running server: `python -m tests.support.console_pictures`."""

from playwright.sync_api import Page

from serving.command_line import CommandLine
from tests.support.browser import launched, new_page
from tests.support.console_page import finished, open_console
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "images"
QUESTION = "What is the capital of France?"
MAX_BYTES = 150_000
DESKTOP = {"width": 1180, "height": 720}
PHONE = {"width": 390, "height": 844}


def main() -> None:
    """Ask the question once and take both pictures of the answer."""
    parser = CommandLine(prog="python -m tests.support.console_pictures", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the server")
    parser.add_argument("--question", default=QUESTION, help="what is asked")
    given = parser.parse_args()
    with launched() as browser, new_page(browser) as page:
        page.set_viewport_size(DESKTOP)
        open_console(page, given.url)
        page.fill("#question", given.question)
        page.keyboard.press("Enter")
        finished(page)
        page.evaluate("document.activeElement.blur()")  # no cursor and no frame around the field
        take(page, "console.png")
        page.set_viewport_size(PHONE)
        page.evaluate("scrollTo(0, 0)")
        take(page, "console-phone.png")


def take(page: Page, name: str) -> None:
    """Write one picture. Raises `SystemExit` if it is too large for the repository."""
    page.wait_for_timeout(300)  # until the page is drawn at its size
    size = len(page.screenshot(path=FOLDER / name))
    if size > MAX_BYTES:
        raise SystemExit(f"docs/images/{name} has {size} bytes; at most {MAX_BYTES} belong into the repository.")
    print(f"wrote docs/images/{name} ({size} bytes)")


if __name__ == "__main__":
    main()

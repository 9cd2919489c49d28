"""HTML reports, opened from their files: widths, colour schemes, plots."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from evaluation.report.page import MAX_BYTES
from tests.support.browser import new_page
from tests.support.page_checks import LOW_CONTRAST, STRUCK
from tests.support.reports import ARMS

KINDS = ("quality", "load", "bench", "scale", "torture")
WIDTHS = (390, 820, 1280)

Opened = Callable[..., Page]


@pytest.mark.parametrize("kind", KINDS)
def test_each_page_is_a_small_file_that_asks_for_nothing(kind: str, pages: dict[str, Path], opened: Opened, page: Page):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(kind)
    assert asked == [pages[kind].as_uri()]
    assert pages[kind].stat().st_size < MAX_BYTES


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wider_than_the_window_or_its_column(kind: str, width: int, opened: Opened):
    page = opened(kind, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = """
        () => [...document.querySelectorAll(".plot")].filter((plot) => {
          const [own, drawn] = [plot, plot.querySelector("svg")].map((node) => node.getBoundingClientRect());
          return drawn.left < own.left - 1 || drawn.right > own.right + 1 || drawn.width < own.width - 2;
        }).map((plot) => plot.textContent)
    """
    assert page.evaluate(outside) == []
    assert page.locator(".modebar").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_texts_and_lines_contrast_in_both_schemes(kind: str, scheme: str, opened: Opened):
    page = opened(kind, scheme=scheme)
    for details in page.locator("details > summary").all():
        details.click()
    assert page.evaluate(LOW_CONTRAST) == []


def test_the_contrast_of_a_faint_text_is_seen(opened: Opened):
    page = opened("torture")
    page.evaluate("document.querySelector('h1').style.color = '#999'")
    assert [text for text, _ in page.evaluate(LOW_CONTRAST)] == ["Torture report"]


def test_plots_follow_the_scheme(opened: Opened):
    page = opened("load")
    title = page.locator("#plots-1 .xtitle")
    before = title.evaluate("node => getComputedStyle(node).fill")
    page.emulate_media(color_scheme="dark")
    expect(title).not_to_have_css("fill", before)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_name_is_struck_through(width: int, opened: Opened):
    page = opened("quality", width)
    assert page.evaluate(STRUCK) == []
    for plot in page.locator("#pareto .plot").all():
        shown = plot.locator(".annotation-text").count()
        assert shown >= 8
        if shown < len(ARMS):
            expect(plot.locator(".note")).to_contain_text(f"{len(ARMS) - shown} of {len(ARMS)} names have no room here")
        else:
            expect(plot.locator(".note")).to_be_hidden()


def test_names_are_placed_again_when_the_window_changes(opened: Opened):
    page = opened("quality")
    page.set_viewport_size({"width": 390, "height": 900})
    expect(page.locator("#pareto-0 svg.main-svg").first).to_have_attribute("width", "362")
    assert page.evaluate(STRUCK) == []


def test_the_plot_of_seconds_is_as_wide_as_the_page(opened: Opened):
    page = opened("quality")
    seconds = page.locator("#pareto .plot", has_text="seconds to the complete answer").bounding_box()
    whole = page.locator("#pareto").bounding_box()
    assert seconds["width"] == whole["width"]
    dollars = page.locator("#pareto .plot", has_text="US$ per 1,000 answers").bounding_box()
    assert dollars["width"] < whole["width"] / 2


def test_without_javascript_the_tables_stay(pages: dict[str, Path], browser: Browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["quality"].as_uri())
    expect(page.locator("#arms table").first).to_be_visible()
    context.close()


@pytest.fixture
def old_browser(browser: Browser) -> Iterator[Page]:
    with new_page(browser) as page:
        page.add_init_script("delete window.DecompressionStream")
        yield page


def test_a_browser_that_cannot_unpack_is_told(old_browser: Page, pages: dict[str, Path]):
    old_browser.goto(pages["load"].as_uri())
    expect(old_browser.locator("#trouble")).to_contain_text("use Chrome 80, Firefox 113, Safari 16.4 or a later one")
    expect(old_browser.locator("#measures table")).to_be_visible()

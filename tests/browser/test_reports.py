"""HTML reports, opened from their files: widths, colour schemes, plots, the answer browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from evaluation.report.build import Constraints, analyse
from evaluation.report.page import MAX_BYTES
from tests.support.browser import new_page
from tests.support.reports import ARMS, write_pages
from tests.support.rows import agent, row

KINDS = ("quality", "load", "bench", "scale", "torture")
WIDTHS = (390, 820, 1280)

# Texts that contrast too little with what is behind them: [text, ratio]. Colours are painted to be read.
LOW_CONTRAST = """
() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = (colours) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const page = getComputedStyle(document.body).backgroundColor;
  const behind = (element) => {
    const colours = [];
    for (let at = element; at; at = at.parentElement) colours.unshift(getComputedStyle(at).backgroundColor);
    return [page, ...colours];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE", "OPTION", "NOSCRIPT"].includes(element.tagName)) continue;
    if (!element.checkVisibility() || element.closest(":disabled")) continue;
    const style = getComputedStyle(element);
    const colours = behind(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const measured = ratio(painted([...colours, colour]), painted(colours));
    if (measured < (large ? 3 : 4.5)) found.push([node.data.trim().slice(0, 40), measured]);
  }
  const root = getComputedStyle(document.documentElement);
  for (let number = 1; number <= 8; number++) {
    const measured = ratio(painted([root.getPropertyValue(`--series-${number}`)]), painted([page]));
    if (measured < 3) found.push([`series ${number}`, measured]);
  }
  return found;
}
"""

# Names in plots that cover another name, a marker, an error bar or the front: [name, what].
STRUCK = """
() => {
  const shrunk = (r) => ({ left: r.left + 1, right: r.right - 1, top: r.top + 2, bottom: r.bottom - 2 });
  const box = (node) => shrunk(node.getBoundingClientRect());
  const hit = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = [];
  for (const plot of document.querySelectorAll("#pareto .canvas")) {
    const names = [...plot.querySelectorAll(".annotation-text")];
    const others = [...plot.querySelectorAll("path.point, path.yerror")].map((node) => ["mark", box(node)]);
    for (const line of plot.querySelectorAll("path.js-line")) {
      const place = line.getScreenCTM();
      for (let at = 0; at < line.getTotalLength(); at += 3) {
        const point = line.getPointAtLength(at).matrixTransform(place);
        others.push(["front", { left: point.x, right: point.x + 1, top: point.y, bottom: point.y + 1 }]);
      }
    }
    names.forEach((name, index) => {
      const rest = names.slice(index + 1).map((other) => [other.textContent, box(other)]);
      for (const [what, other] of [...others, ...rest]) {
        if (hit(box(name), other)) found.push([plot.id, name.textContent, what]);
      }
    });
  }
  return found;
}
"""


@pytest.fixture(scope="module")
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


def count(page: Page) -> int:
    return int(page.locator("#answers-count").inner_text().split()[0].replace(",", ""))


def test_a_question_shows_every_arms_answer_and_trace(opened: Opened):
    page = opened("quality")
    assert count(page) == 300
    expect(page.locator("#answers-list button:not(.more)")).to_have_count(100)
    expect(page.locator(".card")).to_have_count(len(ARMS))
    card = page.locator('.card[data-arm="moa-lite"]')
    expect(card.locator("summary")).to_have_text("Trace: 3 proposals, 4 calls")
    expect(card.locator(".agent")).to_have_count(0)
    card.locator("summary").click()
    expect(card.locator(".agent")).to_have_count(4)
    expect(card.locator(".agent").first).to_contain_text("layer 1, proposer tiny-qwen")
    expect(card.locator(".agent").first.locator(".good, .bad")).to_have_count(1)
    page.get_by_text("open all traces").click()
    expect(page.locator(".card details[open]")).to_have_count(page.locator(".card details").count())


def test_filters_by_verdict_among_chosen_arms(opened: Opened):
    page = opened("quality")
    page.select_option("#answers-outcome", "disagree")
    disagreeing = count(page)
    assert 0 < disagreeing < 300
    page.select_option("#answers-outcome", "right")
    right = count(page)
    page.select_option("#answers-outcome", "none")
    assert disagreeing + right + count(page) == 300
    page.select_option("#answers-among", "tiny-qwen")
    page.select_option("#answers-outcome", "wrong")
    wrong = count(page)
    expect(page.locator(".card")).to_have_count(len(ARMS))  # the cards are those of the chosen arms
    expect(page.locator('.card[data-arm="tiny-qwen"] .facts-line .bad')).to_have_text("wrong")
    page.select_option("#answers-outcome", "right")
    rights = count(page)
    page.select_option("#answers-outcome", "failed")
    assert wrong + rights + count(page) == 300
    expect(page.locator('.card[data-arm="tiny-qwen"]')).to_contain_text("503: no replica is ready")


def test_chosen_arms_are_those_that_are_compared(opened: Opened):
    page = opened("quality")
    page.locator("#answers-arms summary").click()
    page.get_by_role("button", name="Choose none").click()
    expect(page.locator(".card")).to_have_count(0)
    page.get_by_role("checkbox", name="moa-lite").check()
    page.get_by_role("checkbox", name="cascade").check()
    expect(page.locator("#answers-chosen")).to_have_text(f"2 of {len(ARMS)} chosen")
    page.select_option("#answers-outcome", "disagree")
    assert 0 < count(page) < 300
    expect(page.locator(".card h3")).to_have_text(["moa-lite", "cascade"])
    expect(page.locator(".card.is-right")).to_have_count(1)
    expect(page.locator(".card.is-wrong")).to_have_count(1)


def test_search_task_and_steps(opened: Opened):
    page = opened("quality")
    page.fill("#answers-search", "17? QUESTION")
    assert count(page) == 3  # 17, 117 and 217
    expect(page.locator(".question")).to_contain_text("Question 17?")
    page.fill("#answers-search", "replica")
    assert count(page) == 0  # neither a question nor an answer has it
    page.fill("#answers-search", "no such words")
    expect(page.locator("#answers-detail")).to_have_text("No question matches.")
    page.fill("#answers-search", "")
    page.select_option("#answers-task", "mmlu/law")
    assert 30 <= count(page) <= 34
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    first = page.locator(".question").inner_text()
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".question")).not_to_have_text(first, use_inner_text=True)
    expect(page.locator("#answers-list li").nth(1).locator("[aria-current]")).to_have_count(1)
    page.locator("#answers-list button").first.click()
    expect(page.locator(".question")).to_have_text(first, use_inner_text=True)


def test_the_list_grows_on_request(opened: Opened):
    page = opened("quality")
    page.get_by_role("button", name="200 more").click()
    expect(page.locator("#answers-list button:not(.more)")).to_have_count(200)


def test_texts_of_models_are_no_markup(opened: Opened, tmp_path: Path):
    attack = "<img src=x onerror=\"document.title='owned'\"></script><b>bold</b>"
    rows = [
        row(attack, "1", attack, questions=(attack,), trace=[agent(attack, attack)]),
        row("b", "2", "no", skill=attack, extracted=attack, score=None, error=attack),
    ]
    path = tmp_path / "attack.html"
    path.write_text(analyse(rows, Constraints()).html())
    page = opened("attack", path=path)
    page.get_by_text("open all traces").click()
    expect(page.locator(".card .text").first).to_have_text(attack)
    page.locator("#answers-list button").nth(1).click()
    expect(page.locator(".card")).to_contain_text(attack)
    assert page.locator("section img, section b b, .card b b").count() == 0
    assert page.title() == "Quality of recipes"


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

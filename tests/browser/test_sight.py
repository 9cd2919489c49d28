"""What is in the window while the team works: the page scrolls with it, until people scroll up by hand."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import DESKTOP
from tests.support.console import PROPOSALS, Script
from tests.support.console_page import ask, finished, open_settings

Serve = Callable[..., str]
PHONE = {"width": 390, "height": 844}
windows = pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
LONG = "\n\n".join(f"Paragraph {number} of a long answer." for number in range(40))


def in_window(page: Page, shown: Locator) -> bool:
    """True if all of an element is between the bar and the question field, and not beside the window."""
    return bool(
        shown.evaluate(
            """node => {
                const box = node.getBoundingClientRect();
                const bar = document.querySelector(".bar").getBoundingClientRect();
                const field = document.querySelector("#question").getBoundingClientRect();
                return box.height > 0 && box.top >= bar.bottom && box.bottom <= field.top && box.left >= 0
                    && box.right <= document.documentElement.clientWidth;
            }"""
        )
    )


def ask_again(page: Page) -> Locator:
    """Ask one more question; its turn."""
    count = page.locator("#turns > .turn").count()
    page.fill("#question", "And at night?")
    page.keyboard.press("Enter")
    expect(page.locator("#turns > .turn")).to_have_count(count + 1)
    return page.locator("#turns > .turn").last


def working(turn: Locator, layer: int) -> list[Locator]:
    """The cards of a layer, all of which write."""
    cards = turn.locator(f'.column[data-layer="{layer}"] .card')
    expect(cards).to_have_count(len(PROPOSALS))
    expect(cards.locator(".state")).to_have_text(["writing"] * len(PROPOSALS))
    return cards.all()


def scroll_up(page: Page, pixels: int) -> float:
    """Turn the wheel; where the page then is."""
    before = page.evaluate("scrollY")
    page.mouse.move(200, 400)
    page.mouse.wheel(0, -pixels)
    page.wait_for_function(f"scrollY <= {before - pixels} + 1")
    return float(page.evaluate("scrollY"))


@windows
def test_the_team_of_each_question_is_in_the_window_while_it_works(
    page: Page, serve: Serve, script: Script, window: dict[str, int]
):
    page.set_viewport_size(window)
    ask(page, serve())
    finished(page)
    page.select_option("#model", "moa")
    for _ in range(2):
        script.hold("proposals")
        turn = ask_again(page)
        assert all(in_window(page, card) for card in working(turn, 1))
        assert in_window(page, turn.locator(".question"))
        script.hold("answer")
        script.release("proposals")
        assert all(in_window(page, card) for card in working(turn, 2))
        script.release()
        expect(page.locator(".waterfall")).to_have_count(page.locator("#turns > .turn").count())


@windows
def test_a_new_question_is_at_the_top_before_anything_is_there(
    page: Page, serve: Serve, script: Script, window: dict[str, int]
):
    page.set_viewport_size(window)
    ask(page, serve())
    finished(page)
    for engine in script.engines.values():
        engine.hang = True
    turn = ask_again(page)
    expect(turn.locator(".card")).to_have_count(3)
    box = turn.locator(".question").bounding_box()
    assert box is not None
    assert box["y"] < 100
    page.keyboard.press("Escape")
    expect(turn.locator(".note")).to_contain_text("Stopped.")


def test_a_first_question_with_a_short_answer_leaves_nothing_to_scroll(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    working(page.locator(".turn"), 1)
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") <= 4


@windows
def test_the_end_of_a_long_answer_stays_in_the_window(page: Page, serve: Serve, script: Script, window: dict[str, int]):
    script.answer = LONG
    script.held_after = 170
    page.set_viewport_size(window)
    script.hold("answer")
    ask(page, serve())
    end = page.locator(".answer-text > :last-child")
    expect(end).to_contain_text("Paragraph 28")
    assert in_window(page, end)


@windows
def test_a_reader_who_scrolled_up_is_left_alone_until_the_end_is_in_sight_again(
    page: Page, serve: Serve, script: Script, window: dict[str, int]
):
    script.answer = LONG
    page.set_viewport_size(window)
    ask(page, serve())
    finished(page)
    script.hold("proposals")
    turn = ask_again(page)
    working(turn, 1)
    place = scroll_up(page, 120)
    script.held_after = 170
    script.hold("answer")
    script.release("proposals")
    end = turn.locator(".answer-text > :last-child")
    expect(end).to_contain_text("Paragraph 28")
    assert page.evaluate("scrollY") == pytest.approx(place, abs=1)
    end.scroll_into_view_if_needed()
    page.mouse.wheel(0, 200)
    script.release()
    expect(end).to_contain_text("Paragraph 39")
    assert in_window(page, end)


@windows
def test_the_answer_of_one_model_is_in_the_window_while_it_is_written(
    page: Page, serve: Serve, script: Script, window: dict[str, int]
):
    page.set_viewport_size(window)
    ask(page, serve())
    finished(page)
    script.answer = LONG
    script.held_after = 170
    script.hold("answer")
    page.get_by_role("button", name="Compare with one model").click()
    end = page.locator(".turn.one .answer-text > :last-child")
    expect(end).to_contain_text("Paragraph 28")
    assert in_window(page, end)


def test_the_newest_of_many_layers_is_in_the_window(page: Page, serve: Serve, script: Script):
    script.answer = "Short."
    ask(page, serve())
    finished(page)
    open_settings(page)
    page.fill('[name="moa.layers"]', "8")
    page.click("#settings-close")
    turn = ask_again(page)
    expect(page.locator(".waterfall")).to_have_count(2)
    expect(turn.locator(".column[data-layer]")).to_have_count(8)
    assert in_window(page, turn.locator(".answer-text"))

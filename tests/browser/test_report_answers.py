"""Answer browser of the evaluation's report."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from evaluation.report.build import Constraints, analyse
from tests.support.reports import ARMS
from tests.support.rows import agent, row

Opened = Callable[..., Page]


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

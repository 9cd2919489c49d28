"""The console in a browser, over scripted engines: what people see while the team works and when something fails."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from serving.errors import EngineFailed
from tests.support.console import PROPOSALS, Script

Serve = Callable[..., str]


def ask(page: Page, url: str, question: str = "Why is the sky blue?") -> None:
    page.goto(f"{url}/console")
    expect(page.locator("#model option")).to_have_count(5)
    page.fill("#question", question)
    page.keyboard.press("Enter")


def card(page: Page, model: str, layer: int = 1):
    return page.locator(f'.column[data-layer="{layer}"] .card', has=page.locator(".model", has_text=model))


def test_cards_fill_while_the_team_works_and_before_the_answer_begins(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    for model, proposal in PROPOSALS.items():
        expect(card(page, model).locator(".card-text")).to_contain_text(proposal[:20])
        expect(card(page, model).locator(".card-text")).not_to_contain_text(proposal[-20:])
        expect(card(page, model).locator(".state")).to_have_text("writing")
    expect(page.locator(".answer-text").first).to_be_empty()
    script.hold("answer")
    script.release("proposals")
    expect(page.locator(".answer-text").first).to_contain_text("The sky is blue")
    for model, proposal in PROPOSALS.items():
        expect(card(page, model).locator(".card-text")).to_have_text(proposal)
        expect(card(page, model).locator(".state")).to_have_text("done")
    expect(page.locator(".waterfall")).to_have_count(0)
    script.release()
    expect(page.locator(".answer-text strong")).to_have_text("air scatters short waves more strongly")
    expect(page.locator(".answer-text table tbody tr")).to_have_count(3)
    expect(page.locator(".waterfall .lane")).to_have_count(4)
    expect(page.locator(".sums")).to_contain_text("Written tokens")


def test_stop_ends_the_work_of_the_models(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("writing")
    page.keyboard.press("Escape")
    expect(page.locator("#turns .note")).to_contain_text("Stopped.")
    expect(page.locator("#send")).to_be_visible()
    page.wait_for_timeout(300)
    assert [engine.running for engine in script.engines.values()] == [0, 0, 0]


def test_a_failed_agent_is_explained(page: Page, serve: Serve, script: Script):
    script.engines["tiny-llama"].error = EngineFailed("tiny-llama", "out of memory")
    ask(page, serve())
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("failed")
    expect(card(page, "tiny-llama")).to_contain_text("out of memory")
    expect(page.locator(".note.warn")).to_contain_text("out of memory")
    expect(page.locator(".answer-text")).to_contain_text("At sunset")


def test_a_team_that_fails_is_explained(page: Page, serve: Serve, script: Script):
    for name, engine in script.engines.items():
        engine.error = EngineFailed(name, "out of memory")
    ask(page, serve())
    expect(page.locator(".note.bad")).to_contain_text("out of memory")
    expect(page.locator("#send")).to_be_visible()


def test_a_straggler_is_marked(page: Page, serve: Serve, script: Script):
    script.engines["tiny-mixtral"].hang = True
    url = serve()
    page.goto(f"{url}/console")
    page.click("#settings-button")
    page.fill('[name="moa.min_proposals"]', "2")
    page.fill('[name="moa.straggler_grace_s"]', "0")
    page.fill("#question", "Why is the sky blue?")
    page.click("#send")
    expect(card(page, "tiny-mixtral").locator(".state")).to_have_text("cut off")
    expect(page.locator('.column[data-layer="1"] .column-state')).to_have_text("2 proposals, 1 cut off")


def test_a_reload_keeps_the_conversation(page: Page, serve: Serve):
    ask(page, serve())
    expect(page.locator(".waterfall")).to_be_visible()
    page.reload()
    expect(page.locator(".question")).to_have_text("Why is the sky blue?")
    expect(card(page, "tiny-llama").locator(".card-text")).to_have_text(PROPOSALS["tiny-llama"])
    expect(page.locator(".answer-text")).to_contain_text("At sunset")
    page.click("#fresh")
    expect(page.locator("#welcome")).to_be_visible()


def test_one_model_is_asked_beside_the_team(page: Page, serve: Serve):
    ask(page, serve())
    page.get_by_role("button", name="Ask one model too").click()
    expect(page.locator(".sums thead th").last).to_have_text("ratio")
    expect(page.locator(".turn.one .answer-text")).not_to_be_empty()


def test_a_server_with_a_key_asks_for_it(page: Page, serve: Serve):
    url = serve(api_key="secret")
    page.goto(f"{url}/console")
    expect(page.locator('[name="key"]')).to_be_focused()
    page.fill('[name="key"]', "secret")
    page.keyboard.press("Tab")
    expect(page.locator("#model option")).to_have_count(5)
    assert page.evaluate("JSON.stringify(localStorage)").count("secret") == 0


def test_a_models_text_is_never_html(page: Page, serve: Serve, script: Script):
    attack = '<img src=x onerror="window.hit=1"> <script>window.hit=1</script> [a](javascript:window.hit=1)'
    for engine in script.engines.values():
        engine.answer = attack
    ask(page, serve(), attack)
    expect(page.locator(".waterfall")).to_be_visible()
    expect(page.locator(".answer-text")).to_have_text(attack)
    assert page.evaluate("window.hit") is None
    assert page.locator("#turns img, #turns script, #turns a").count() == 0


def test_a_refused_setting_is_explained(page: Page, serve: Serve):
    page.goto(f"{serve()}/console")
    page.click("#settings-button")
    page.fill('[name="moa.min_proposals"]', "9")
    page.fill("#question", "Hello")
    page.click("#send")
    expect(page.locator(".note.bad")).to_contain_text("min_proposals")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page: Page, serve: Serve, width: int):
    page.set_viewport_size({"width": width, "height": 844})
    ask(page, serve())
    expect(page.locator(".waterfall")).to_be_visible()
    page.click("#settings-button")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_stop_takes_the_place_of_send_while_the_team_works(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#send")).to_be_hidden()
    page.click("#stop")
    expect(page.locator("#send")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()

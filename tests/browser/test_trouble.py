"""Failures in words: agents that fail or are slow, requests that fail, a stop, a server that is away."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from serving.errors import EngineFailed
from tests.support.browser import wait_until
from tests.support.console import Script
from tests.support.console_page import ask, card, open_console, open_settings

Serve = Callable[..., str]


def test_stop_ends_the_work_of_the_models(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("writing")
    expect(page.locator("#send")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator(".turn .note")).to_contain_text("Stopped.")
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("stopped")
    expect(page.locator("#status")).to_contain_text("Stopped.")
    expect(page.locator("#send")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()
    wait_until(page, lambda: [engine.running for engine in script.engines.values()] == [0, 0, 0])
    script.release()
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".answer-text").last).to_contain_text("At sunset")
    assert len(script.engines["tiny-qwen"].requests[-1].messages) <= 2  # the stopped turn is no part of the history


def test_a_failed_agent_is_explained(page: Page, serve: Serve, script: Script):
    script.engines["tiny-llama"].error = EngineFailed("tiny-llama", "out of memory")
    ask(page, serve())
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("failed")
    expect(card(page, "tiny-llama")).to_contain_text("out of memory")
    expect(page.locator(".note.warn")).to_contain_text("'tiny-llama' (proposer, layer 1) failed.")
    expect(page.locator(".answer-text")).to_contain_text("At sunset")
    expect(page.locator(".phase.lost")).to_have_count(1)
    expect(page.locator(".sums")).to_contain_text("≥")


def test_a_team_that_fails_is_explained(page: Page, serve: Serve, script: Script):
    for name, engine in script.engines.items():
        engine.error = EngineFailed(name, "out of memory")
    ask(page, serve())
    expect(page.locator(".note.bad")).to_contain_text("out of memory")
    expect(page.locator(".note.bad")).to_have_attribute("role", "alert")
    expect(page.locator("#send")).to_be_visible()


def test_an_answer_that_breaks_off_keeps_its_text(page: Page, serve: Serve, script: Script):
    script.engines["tiny-llama"].error = EngineFailed("tiny-llama", "out of memory")
    script.engines["tiny-llama"].fail_after = 5
    open_console(page, serve())
    page.select_option("#model", "tiny-llama")
    page.fill("#question", "Why?")
    page.click("#send")
    expect(page.locator(".note.bad")).to_contain_text("out of memory")
    expect(page.locator(".answer-text")).to_contain_text("The sky is blue")
    expect(page.locator(".card.final .state")).to_have_text("ended")


def test_a_model_that_takes_a_failed_ones_place_says_so(page: Page, serve: Serve, script: Script):
    script.engines["tiny-llama"].error = EngineFailed("tiny-llama", "out of memory")
    open_console(page, serve())
    open_settings(page)
    page.locator("#recipe-fields details").evaluate("details => { details.open = true }")
    page.select_option('[name="moa.refill"]', "yes")
    page.fill("#question", "Why is the sky blue?")
    page.click("#send")
    expect(page.locator(".waterfall .lane")).to_have_count(5)
    expect(page.locator('.column[data-layer="1"] .card')).to_have_count(3)
    expect(page.locator('.column[data-layer="1"]')).to_contain_text("asked instead of tiny-llama")
    expect(page.locator(".turn .note")).to_contain_text("Good to know:")


def test_a_straggler_is_marked(page: Page, serve: Serve, script: Script):
    script.engines["tiny-mixtral"].hang = True
    open_console(page, serve())
    open_settings(page)
    page.fill('[name="moa.min_proposals"]', "2")
    page.fill('[name="moa.straggler_grace_s"]', "0")
    page.fill("#question", "Why is the sky blue?")
    page.click("#send")
    expect(card(page, "tiny-mixtral").locator(".state")).to_have_text("cut off")
    expect(page.locator('.column[data-layer="1"] .column-state')).to_have_text("2 proposals, 1 cut off")


def test_a_server_that_is_away_is_said_and_asked_again(page: Page, serve: Serve):
    url = serve()
    page.route("**/v1/models", lambda route: route.abort())
    page.goto(f"{url}/console")
    expect(page.locator("#about")).to_contain_text("cannot be reached")
    page.unroute("**/v1/models")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#steps li").first).to_be_visible()
    page.route("**/v1/chat/completions", lambda route: route.abort())
    page.fill("#question", "Hello?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .note.bad")).to_contain_text("cannot be reached")


def test_a_connection_that_ends_early_is_no_answer(page: Page, serve: Serve):
    open_console(page, serve())
    chunk = 'data: {"choices": [{"delta": {"content": "Half"}}]}\n\n'
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(status=200, content_type="text/event-stream", body=chunk),
    )
    page.fill("#question", "Hello?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .note.bad")).to_contain_text("before the answer ended")
    expect(page.locator(".answer-text")).to_have_text("Half")


def test_a_busy_server_is_said(page: Page, serve: Serve):
    open_console(page, serve())
    error = '{"error": {"message": "Retry later.", "code": "overloaded", "type": "x", "param": null}}'
    page.route("**/v1/chat/completions", lambda route: route.fulfill(status=429, body=error))
    page.fill("#question", "Hello?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .note.bad")).to_have_text("The server is busy: Retry later.")

"""The console while an engine is dead. After `test_trouble.py` in alphabetical order, since it breaks the server."""

import os
import signal

import pytest
from playwright.sync_api import expect

from tests.support.browser import TIMEOUT_MS, launched, new_page
from tests.support.console_page import card, open_console
from tests.support.server import Server


def test_a_model_that_is_lost_is_seen_and_the_others_answer(server: Server) -> None:
    if server.pid is None:
        pytest.skip("needs MOA_E2E_PID beside MOA_E2E_URL")
    expect.set_options(timeout=TIMEOUT_MS)
    with launched() as browser, new_page(browser) as page:
        open_console(page, server.url)
        os.kill(server.engine_process("tiny-llama"), signal.SIGKILL)
        page.fill("#question", "What is 17 + 25?")
        page.keyboard.press("Enter")
        expect(card(page, "tiny-qwen").locator(".state")).to_have_text("done")
        expect(page.locator(".answer-text")).to_contain_text("42")
        expect(card(page, "tiny-llama")).to_have_attribute("data-state", "failed")
        expect(page.locator(".note.warn")).to_contain_text("tiny-llama")
        expect(page.locator(".waterfall .phase.lost")).to_have_count(1)

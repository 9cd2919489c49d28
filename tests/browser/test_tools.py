"""Tools in the console: people enter the results of the calls."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from serving.conversation import ToolCall
from tests.support.console import Script
from tests.support.console_page import finished, open_console, open_settings

Serve = Callable[..., str]


def test_calls_are_shown_and_the_answer_goes_on_with_their_results(page: Page, serve: Serve, script: Script):
    for engine in script.engines.values():
        engine.tools = True
    script.answer, script.calls = "", (ToolCall("call-1", "calculator", '{"expression": "6*7"}'),)
    open_console(page, serve())
    open_settings(page)
    page.fill('[name="tools"]', "no list")
    page.keyboard.press("Tab")
    expect(page.locator(".field .problem")).to_have_text("Enter a JSON list of tools.")
    page.click("#tools-example")
    expect(page.locator("#settings-count")).to_have_text("1")
    page.fill("#question", "What is 6 * 7?")
    page.click("#send")
    finished(page)
    expect(page.locator(".call code")).to_have_text('calculator({"expression": "6*7"})')
    page.reload()
    expect(page.locator(".call code")).to_have_text('calculator({"expression": "6*7"})')
    script.answer, script.calls = "It is 42.", ()
    page.get_by_label("Result of calculator").fill("42")
    page.keyboard.press("Enter")
    expect(page.locator(".answer-text").last).to_have_text("It is 42.")
    read = script.engines["tiny-qwen"].requests[-1].messages
    assert [(message.role, message.tool_call_id) for message in read][-2:] == [("assistant", None), ("tool", "call-1")]
    assert read[-1].content == "42"
    assert read[-2].tool_calls[0].name == "calculator"
    expect(page.locator(".question").last).to_have_text("calculator: 42")
    expect(page.get_by_label("Result of calculator")).to_be_disabled()


def test_calls_without_results_are_no_part_of_the_history(page: Page, serve: Serve, script: Script):
    for engine in script.engines.values():
        engine.tools = True
    script.answer, script.calls = "", (ToolCall("call-1", "calculator", "{}"),)
    open_console(page, serve())
    open_settings(page)
    page.click("#tools-example")
    page.fill("#question", "First?")
    page.click("#send")
    finished(page)
    with page.expect_request("**/v1/chat/completions") as sent:
        page.fill("#question", "Second?")
        page.click("#send")
    assert sent.value.post_data_json["messages"] == [{"role": "user", "content": "Second?"}]
    finished(page)


def test_tools_are_offered_where_they_are_supported(page: Page, serve: Serve):
    open_console(page, serve())
    open_settings(page)
    expect(page.locator("#tools-settings")).to_be_hidden()

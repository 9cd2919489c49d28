"""The panel of settings: fields of the recipe, values in requests, the API key."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.console import Script
from tests.support.console_page import card, finished, open_console, open_settings

Serve = Callable[..., str]


def test_the_form_has_the_recipes_own_settings_and_sends_what_was_changed(page: Page, serve: Serve, script: Script):
    open_console(page, serve())
    open_settings(page)
    expect(page.locator('[name="moa.layers"]')).to_have_attribute("placeholder", "1")
    expect(page.locator('[name="moa.layers"]')).to_have_attribute("max", "16")
    expect(page.locator('[name="moa.straggler_grace_s"]')).to_have_attribute("placeholder", "30")
    expect(page.locator('[name="moa.models"]:checked')).to_have_count(3)
    expect(page.locator('[name="reasoning_effort"]')).to_have_count(0)  # no model here thinks
    page.uncheck('[name="moa.models"][value="tiny-mixtral"]')
    page.select_option('[name="moa.aggregator"]', "tiny-llama")
    page.fill('[name="moa.layers"]', "2")
    page.fill('[name="temperature"]', "0.25")
    page.fill('[name="seed"]', "7")
    page.fill('[name="max_tokens"]', "300")
    page.keyboard.press("Tab")
    expect(page.locator("#settings-count")).to_have_text("6")
    with page.expect_request("**/v1/chat/completions") as sent:
        page.fill("#question", "Why?")
        page.click("#send")
    body = sent.value.post_data_json
    assert {name: body[name] for name in ("temperature", "seed", "max_tokens")} == {
        "temperature": 0.25,
        "seed": 7,
        "max_tokens": 300,
    }
    changed = {"models": ["tiny-qwen", "tiny-llama"], "aggregator": "tiny-llama", "layers": 2}
    assert body["moa"] == {**changed, "trace": True, "events": "text"}
    finished(page)
    expect(page.locator(".column[data-layer]")).to_have_count(2)
    expect(page.locator(".card.final .model")).to_have_text("tiny-llama")
    assert script.engines["tiny-mixtral"].requests == []


def test_settings_are_kept_for_each_recipe_and_can_be_reset(page: Page, serve: Serve):
    url = serve()
    open_console(page, url)
    open_settings(page)
    page.fill('[name="moa.layers"]', "3")
    page.keyboard.press("Tab")
    page.select_option("#model", "debate")
    expect(page.locator('[name="moa.rounds"]')).to_be_visible()
    expect(page.locator('[name="moa.layers"]')).to_have_count(0)
    expect(page.locator('[name^="moa.models."]')).to_have_count(2)  # solver and critic
    page.select_option('[name="moa.models.1"]', "tiny-llama")
    page.select_option("#model", "tiny-llama")
    expect(page.locator("#recipe-settings")).to_be_hidden()
    page.select_option("#model", "moa-lite")
    page.reload()
    expect(page.locator("#settings-count")).to_have_text("1")
    open_settings(page)
    expect(page.locator('[name="moa.layers"]')).to_have_value("3")
    page.click("#settings-reset")
    expect(page.locator('[name="moa.layers"]')).to_have_value("")
    expect(page.locator("#settings-count")).to_be_empty()
    page.select_option("#model", "debate")
    expect(page.locator('[name="moa.models.1"]')).to_have_value("tiny-llama")


def test_thinking_is_offered_where_the_final_agent_thinks(page: Page, serve: Serve, script: Script):
    script.engines["tiny-qwen"].thinking = True
    open_console(page, serve())
    open_settings(page)
    page.select_option('[name="reasoning_effort"]', "none")
    page.select_option("#model", "tiny-llama")
    expect(page.locator('[name="reasoning_effort"]')).to_have_count(0)
    with page.expect_request("**/v1/chat/completions") as sent:
        page.fill("#question", "Why?")
        page.click("#send")
    assert "reasoning_effort" not in sent.value.post_data_json  # which the model would refuse
    finished(page)
    page.select_option("#model", "moa-lite")
    expect(page.locator('[name="reasoning_effort"]')).to_have_value("none")


def test_a_value_out_of_bounds_is_not_sent(page: Page, serve: Serve, script: Script):
    open_console(page, serve())
    open_settings(page)
    page.fill('[name="temperature"]', "3")
    page.fill("#question", "Why?")
    expect(page.locator(".field .problem")).to_contain_text("less than or equal to 2")
    page.click("#settings-close")
    page.click("#send")
    expect(page.locator("#panel")).to_be_visible()
    assert page.evaluate("document.activeElement.name") == "temperature"
    expect(page.locator(".turn")).to_have_count(0)
    page.fill('[name="temperature"]', "")
    page.locator("#recipe-fields details").evaluate("details => { details.open = true }")
    page.fill('[name="moa.deadline_s"]', "0")
    page.keyboard.press("Tab")
    expect(page.locator(".field .problem")).to_have_text("Enter a number above 0.")
    page.fill('[name="seed"]', "1")
    page.keyboard.press("Tab")
    page.click("#settings-reset")
    expect(page.locator(".field .problem")).to_have_count(0)
    assert not any(engine.requests for engine in script.engines.values())


def test_a_setting_that_the_server_refuses_is_explained(page: Page, serve: Serve):
    open_console(page, serve())
    open_settings(page)
    page.locator("#recipe-fields details").evaluate("details => { details.open = true }")
    page.uncheck('[name="moa.models"][value="tiny-llama"]')
    page.uncheck('[name="moa.models"][value="tiny-mixtral"]')
    page.select_option('[name="moa.refill"]', "yes")
    page.fill("#question", "Hello")
    page.click("#send")
    label = page.locator(".field", has=page.locator('[name="moa.refill"]')).locator(".field-name").text_content()
    expect(page.locator(".note.bad")).to_contain_text(f"“{label}” needs a team of two models")
    expect(page.locator(".note.bad")).not_to_contain_text("moa.")


def test_a_layer_cannot_wait_for_more_proposals_than_it_has_agents(page: Page, serve: Serve, script: Script):
    open_console(page, serve())
    open_settings(page)
    enough = page.locator(".field", has=page.locator('[name="moa.min_proposals"]'))
    expect(enough.locator("input")).to_have_attribute("max", "3")
    page.fill('[name="moa.min_proposals"]', "9")
    page.fill("#question", "Hello")
    expect(enough.locator(".problem")).to_contain_text("less than or equal to 3")
    page.fill('[name="moa.min_proposals"]', "3")
    page.keyboard.press("Tab")
    expect(enough.locator(".problem")).to_have_count(0)
    page.uncheck('[name="moa.models"][value="tiny-llama"]')
    expect(enough.locator(".problem")).to_contain_text("less than or equal to 2")
    page.select_option("#model", "vote")
    expect(enough.locator("input")).to_have_attribute("max", "6")  # two answers of each model
    page.fill('[name="moa.samples"]', "5")
    page.keyboard.press("Tab")
    expect(enough.locator("input")).to_have_attribute("max", "5")


def test_every_field_of_a_recipe_is_explained(page: Page, serve: Serve):
    open_console(page, serve())
    open_settings(page)
    for recipe in ("moa-lite", "debate", "plan", "auto", "vote"):
        page.select_option("#model", recipe)
        expect(page.locator("#recipe-fields .field").first).to_be_attached()
        for field in page.locator("#recipe-fields .field").all():
            assert field.locator("small").text_content()
            name = field.locator(".field-name").text_content() or ""
            assert name[0].isupper()


def test_a_server_with_a_key_asks_for_it(page: Page, serve: Serve):
    url = serve(api_key="secret")
    page.goto(f"{url}/console")
    expect(page.locator('[name="key"]')).to_be_focused()
    expect(page.locator("#key-note")).to_contain_text("needs an API key")
    expect(page.locator("#send")).to_be_hidden()
    page.fill('[name="key"]', "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#key-note")).to_contain_text("does not accept this API key")
    page.fill('[name="key"]', "secret")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("Why?")
    page.keyboard.press("Enter")
    finished(page)
    assert page.evaluate("JSON.stringify(localStorage)").count("secret") == 0


def test_a_key_that_is_no_longer_accepted_is_asked_for_again(page: Page, serve: Serve):
    open_console(page, serve())
    error = '{"error": {"message": "No.", "code": "invalid_api_key", "type": "x", "param": null}}'
    page.route("**/v1/chat/completions", lambda route: route.fulfill(status=401, body=error))
    page.fill("#question", "Hello?")
    page.keyboard.press("Enter")
    expect(page.locator('[name="key"]')).to_be_focused()
    expect(page.locator(".turn .note.bad")).to_contain_text("needs an API key")
    expect(card(page, "tiny-llama")).to_have_count(0)

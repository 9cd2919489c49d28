"""The team at work, while it works: columns, cards, thoughts, tool calls."""

from collections.abc import AsyncGenerator, Callable

from playwright.sync_api import Page, expect

from serving.engines.scripted import ScriptedAnswer
from serving.errors import EngineUnavailable
from serving.types import Delta, GenerateRequest
from tests.support.console import PROPOSALS, Script
from tests.support.console_page import ask, card, finished, open_console

Serve = Callable[..., str]


def test_cards_fill_while_the_team_works_and_before_the_answer_begins(page: Page, serve: Serve, script: Script):
    script.hold("proposals")
    ask(page, serve())
    for model, proposal in PROPOSALS.items():
        expect(card(page, model).locator(".card-text")).to_contain_text(proposal[:20])
        expect(card(page, model).locator(".card-text")).not_to_contain_text(proposal[-20:])
        expect(card(page, model).locator(".state")).to_have_text("writing")
    expect(page.locator('.column[data-layer="1"] .column-about')).to_contain_text("None sees the others")
    expect(page.locator(".answer-text")).to_be_empty()
    expect(page.locator(".answer .waiting")).to_contain_text("when the proposals are in")
    script.hold("answer")
    script.release("proposals")
    expect(page.locator(".answer-text")).to_contain_text("The sky is blue")
    for model, proposal in PROPOSALS.items():
        expect(card(page, model).locator(".card-text")).to_have_text(proposal)
        expect(card(page, model).locator(".state")).to_have_text("done")
    expect(page.locator(".card.final .role")).to_have_text("joins the proposals")
    expect(page.locator(".waterfall")).to_have_count(0)
    script.release()
    expect(page.locator(".answer-text strong")).to_have_text("air scatters short waves more strongly")
    expect(page.locator(".waterfall .lane")).to_have_count(4)
    expect(page.locator(".sums")).to_contain_text("Written tokens")


def test_a_model_that_reads_is_introduced(page: Page, serve: Serve, script: Script):
    script.engines["tiny-llama"].hang = True
    ask(page, serve())
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("reading")
    shown = card(page, "tiny-llama").locator(".card-text")
    assert shown.evaluate("node => getComputedStyle(node, '::before').content") == '"knows words"'
    expect(card(page, "tiny-llama").locator(".model")).to_have_attribute("title", "tiny-llama: knows words")
    page.keyboard.press("Escape")
    expect(page.locator(".turn .note")).to_contain_text("Stopped.")


def test_each_layer_has_a_column(page: Page, serve: Serve):
    url = serve()
    open_console(page, url)
    page.select_option("#model", "moa")
    page.fill("#question", "Why?")
    page.click("#send")
    finished(page)
    layers = page.locator(".column[data-layer]").count()
    assert layers >= 2
    expect(page.locator('.column[data-layer="2"] .column-about')).to_contain_text("reads the proposals so far")
    expect(page.locator(".waterfall .lane")).to_have_count(3 * layers + 1)


def test_a_proposal_that_is_the_answer_is_marked(page: Page, serve: Serve):
    open_console(page, serve())
    page.select_option("#model", "vote")
    page.fill("#question", "Why?")
    page.click("#send")
    finished(page)
    expect(page.locator(".card.picked")).to_have_count(1)
    expect(page.locator(".card.picked")).to_contain_text("This proposal is the answer.")
    expect(page.locator(".answer-text")).to_have_text(page.locator(".card.picked .card-text").text_content() or "")


def test_a_judges_number_is_explained(page: Page, serve: Serve, script: Script):
    judge = script.engines["tiny-mixtral"]
    proposed = judge.answer

    def answer(request: GenerateRequest) -> str | ScriptedAnswer:
        asked = request.messages[-1].content
        if "number of the best candidate" in asked:
            return ScriptedAnswer("2")
        return proposed(request) if callable(proposed) else proposed

    judge.answer = answer
    open_console(page, serve())
    page.select_option("#model", "rank")
    page.fill("#question", "Why?")
    page.click("#send")
    finished(page)
    words = "Best of the proposals, in the order it read them: number 2"
    expect(page.locator('.column[data-layer="2"] .card-text')).to_have_text([words] * 3)
    expect(page.locator('.column[data-layer="2"] .column-about')).to_contain_text("in different orders")
    page.reload()
    expect(page.locator('.column[data-layer="2"] .card-text')).to_have_text([words] * 3)
    expect(card(page, "tiny-mixtral").locator(".card-text")).to_have_text(PROPOSALS["tiny-mixtral"])


def test_thoughts_are_seen_and_fold_away_when_the_answer_begins(page: Page, serve: Serve, script: Script):
    for engine in script.engines.values():
        engine.thinking = True
    script.thoughts = "One two three four five six seven eight nine ten."
    script.hold("answer")
    ask(page, serve())
    thoughts = page.locator(".answer > .thoughts")
    expect(thoughts.locator(".thought")).to_be_visible()
    expect(page.locator(".card.final .state")).to_have_text("thinking")
    script.release()
    finished(page)
    expect(thoughts.locator(".thought")).to_be_hidden()
    thoughts.locator("summary").click()
    expect(thoughts.locator(".thought")).to_have_text(script.thoughts)
    expect(page.locator(".answer-text")).not_to_contain_text("seven eight")
    page.reload()
    expect(thoughts.locator(".thought")).to_have_text(script.thoughts)


def test_thoughts_of_a_model_that_wrote_nothing_else_are_in_its_card(page: Page, serve: Serve, script: Script):
    script.engines["tiny-llama"].answer = ScriptedAnswer("", "I only think.")
    ask(page, serve())
    finished(page)
    expect(card(page, "tiny-llama").locator(".state")).to_have_text("empty answer")
    expect(card(page, "tiny-llama").locator(".card-text .thought")).to_have_text("I only think.")


def test_a_lost_replica_is_asked_again_and_said(page: Page, serve: Serve, script: Script):
    engine = script.engines["tiny-llama"]
    lost: list[str] = []

    async def once(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        async for delta in stream:
            yield delta
            if not lost:
                lost.append(request.request_id)
                raise EngineUnavailable("tiny-llama", "its replica was lost")

    engine.intercept = once
    ask(page, serve())
    finished(page)
    expect(card(page, "tiny-llama")).to_contain_text("It was asked again.")
    expect(card(page, "tiny-llama").locator(".card-text")).to_have_text(PROPOSALS["tiny-llama"])


def test_one_model_is_asked_beside_the_team(page: Page, serve: Serve):
    ask(page, serve())
    page.get_by_role("button", name="Compare with one model").click()
    expect(page.locator(".sums thead th").last).to_have_text("ratio")
    expect(page.locator(".turn.one .answer-text")).not_to_be_empty()
    expect(page.locator(".sums tbody tr").first).to_have_text("Calls414.0×")
    expect(page.locator(".sums tbody tr").last).to_contain_text("no price")
    page.click("#settings-button")
    page.fill('[name="price.prompt"]', "1000000")
    page.fill('[name="price.completion"]', "0")
    page.keyboard.press("Tab")
    prompt = page.locator(".sums tr", has_text="Prompt tokens").locator("td").first.text_content()
    expect(page.locator(".sums tbody tr").last.locator("td").first).to_have_text(f"${prompt}.00")
    page.reload()
    expect(page.locator(".turn.one .answer-text")).not_to_be_empty()


def test_a_single_model_answers_without_a_team(page: Page, serve: Serve, script: Script):
    script.hold("answer")
    url = serve()
    open_console(page, url)
    page.select_option("#model", "tiny-llama")
    page.fill("#question", "Why?")
    page.click("#send")
    expect(page.locator(".card.final .model")).to_have_text("tiny-llama")
    script.release()
    finished(page)
    expect(page.locator(".column[data-layer]")).to_have_count(0)
    expect(page.locator(".card.final .state")).to_have_text("done")
    expect(page.locator(".card.final .numbers")).to_contain_text("tokens")

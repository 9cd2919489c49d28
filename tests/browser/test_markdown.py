"""Markdown of answers, which are untrusted text."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.console import Script
from tests.support.console_page import ask, finished, open_console

Serve = Callable[..., str]

ATTACKS = [
    '<img src=x onerror="window.hit=1">',
    "<script>window.hit=1</script>",
    "[a](javascript:window.hit=1)",
    "![a](javascript:window.hit=1)",
    '<svg onload="window.hit=1">',
    "<a href='javascript:window.hit=1'>x</a>",
    "`<iframe srcdoc='<script>parent.hit=1</script>'>`",
]


def test_a_models_text_is_never_html(page: Page, serve: Serve, script: Script):
    attack = " ".join(ATTACKS)
    for engine in script.engines.values():
        engine.answer = attack
    ask(page, serve(), attack)
    finished(page)
    expect(page.locator(".answer-text")).to_contain_text(ATTACKS[0])
    expect(page.locator(".card-text").first).to_have_text(attack)
    assert page.evaluate("window.hit") is None
    for tag in ("img", "script", "a", "iframe", "#turns .turn svg:not(.lane)"):
        assert page.locator(tag if tag.startswith("#") else f"#turns {tag}").count() == 0, tag


@pytest.fixture
def rendered(page: Page, serve: Serve) -> Callable[[str], str]:
    """The HTML that the page makes of a text."""
    open_console(page, serve())

    def html(text: str) -> str:
        return page.evaluate(
            """async text => {
                const { markdown } = await import("./console/markdown.js");
                const node = document.createElement("div");
                node.append(markdown(text));
                return node.innerHTML;
            }""",
            text,
        )

    return html


def test_blocks_and_emphasis(rendered: Callable[[str], str]) -> None:
    def link(url: str, text: str) -> str:
        return f'<a href="{url}" target="_blank" rel="noopener noreferrer nofollow">{text}</a>'

    site = "https://example.org/a?b=c"
    for text, html in {
        "one\ntwo\n\nthree": "<p>one\ntwo</p><p>three</p>",
        "# A *b*": "<h3>A <em>b</em></h3>",
        "**a** _b_ ~~c~~ `d*e*`": "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d*e*</code></p>",
        "snake_case_name 2 * 3 * 4": "<p>snake_case_name 2 * 3 * 4</p>",
        r"\*not\* \_this\_": "<p>*not* _this_</p>",
        "- a\n- b\n  - c\n- d": "<ul><li>a</li><li><p>b</p><ul><li>c</li></ul></li><li>d</li></ul>",
        "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
        "> a\n> b": "<blockquote><p>a\nb</p></blockquote>",
        "a\n\n---\n\nb": "<p>a</p><hr><p>b</p>",
        f"[x]({site}) and {site}.": f"<p>{link(site, 'x')} and {link(site, site)}.</p>",
        "[x](ftp://a) [y](/etc)": "<p>[x](ftp://a) [y](/etc)</p>",
        "|a|b|\n|-:|:-:|\n|1|2|": '<div class="scroll" tabindex="0"><table><thead><tr><th class="right">a</th>'
        '<th class="center">b</th></tr></thead><tbody><tr><td class="right">1</td><td class="center">2</td></tr>'
        "</tbody></table></div>",
        "```python\nx = '<b>'\n": '<figure class="code"><figcaption><span>python</span>'
        '<button type="button" class="copy">Copy</button></figcaption>'
        "<pre tabindex=\"0\"><code>x = '&lt;b&gt;'\n</code></pre></figure>",
    }.items():
        assert rendered(text) == html, text


def test_hostile_texts_take_little_time(page: Page, rendered: Callable[[str], str]) -> None:
    for text in (
        "**" * 50_000,
        "[" * 50_000,
        "> " * 20_000,
        "- " * 20_000,
        "`" * 50_001,
        "|-" * 20_000,
        "_a " * 30_000,
    ):
        assert page.evaluate("() => performance.now()") >= 0
        before = page.evaluate("performance.now()")
        rendered(text)
        assert page.evaluate("performance.now()") - before < 5000, text[:4]


def test_code_is_copied_as_it_is(page: Page, serve: Serve, script: Script):
    script.answer = "```\na  = 1\n\nb = 2\n```"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, serve())
    finished(page)
    page.locator(".code .copy").click()
    expect(page.locator(".code .copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "a  = 1\n\nb = 2"

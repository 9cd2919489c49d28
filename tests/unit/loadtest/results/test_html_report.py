from loadtest.results.html_report import render
from tests.support.exchanges import result


def test_the_page_stands_alone_and_shows_both_scenarios() -> None:
    page = render(result())
    assert page.count("plotly.js v") == 1
    assert "<script src" not in page
    assert "streaming" in page
    assert "Schedule lag" in page
    assert '<td class="bad">failed</td>' in page
    assert "429 overloaded" in page

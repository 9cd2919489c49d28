from loadtest.bench.html_report import render
from loadtest.bench.rows import ROWS
from tests.support.benchmark import results


def test_the_page_shows_every_row_aim_and_ratio() -> None:
    found = results()
    page = render(found)
    for row in ROWS:
        assert page.count(f">{row.title}<") == 2  # its verdict, and one heading for all measures
    for judged in found.judged():
        assert str(judged.aim).replace("<", "&lt;").replace(">", "&gt;") in page
    assert "80 (0.80x)" in page
    assert "this server, prefill on_complete" in page
    assert page.count('id="data-plotly"') == 1

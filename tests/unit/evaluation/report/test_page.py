"""The page and its templates, without an evaluation run."""

import re

from evaluation.report.figure import figure
from evaluation.report.page import render
from evaluation.report.section import Section
from evaluation.tables import Cell, Table


def markup(html: str) -> str:
    return re.sub(r"<script.*?</script>|<style>.*?</style>", "", html, flags=re.DOTALL)


def test_text_from_outside_is_escaped_everywhere() -> None:
    table = Table("<t>", ("<c>",), ((Cell("<x>", heat=0.5),),), note="<n>")
    section = Section("id", "<s>", "<l>", (table,), (figure("x", "y", title="<f>"),), (table,))
    html = markup(render("<title>", [section], lead="<lead>", facts=[("<v>", "<k>")], advice="<a>"))
    for text in ("t", "c", "x", "n", "s", "l", "f", "title", "lead", "v", "k", "a"):
        assert f"&lt;{text}&gt;" in html
    assert html.count("<title>") == 1  # the element


def test_cells_show_their_kind() -> None:
    cells = (Cell("name"), Cell("1.0", heat=0.25, strong=True), Cell("met", good=True), Cell("failed", good=False))
    table = Table("", ("what", "value", "verdict", "other"), ((*cells,),))
    html = markup(render("page", [Section("id", "title", "", (table,))]))
    assert "<td>name</td>" in html
    assert '<td class="number heat strong" style="--heat:0.250">1.0</td>' in html
    assert '<td class="good">met</td><td class="bad">failed</td>' in html
    assert '<th class="number">value</th>' in html
    assert "figcaption" not in html


def test_sentences_wrap_and_long_headings_widen_their_column() -> None:
    table = Table(
        "", ("a heading of some words",), ((Cell("this sentence has more than forty characters"),), (Cell("a"),))
    )
    html = markup(render("page", [Section("id", "title", "", (table,))]))
    assert '<th class="wide">' in html
    assert '<td class="prose">this sentence' in html
    assert "<td>a</td>" in html


def test_the_first_plot_is_wide_and_the_others_stand_in_pairs() -> None:
    plots = tuple(figure("x", "y", title=f"plot {number}") for number in range(3))
    html = render("page", [Section("id", "title", "", figures=plots)])
    assert html.count("plotly.js v") == 1
    first, others = markup(html).split('<div class="pair">')
    assert "plot 0" in first
    assert re.findall(r"plot \d", others) == ["plot 1", "plot 2"]
    assert re.findall(r'id="(id-\d)"', html) == ["id-0", "id-1", "id-2"]


def test_a_table_without_headings_has_no_head() -> None:
    html = render("page", [Section("id", "title", "", (Table("", ("",), ((Cell("a finding"),),)),))])
    assert "<thead>" not in html
    assert "a finding" in html

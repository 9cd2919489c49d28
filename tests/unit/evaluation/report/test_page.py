"""The page and its templates, without an evaluation run."""

import gzip
import json
import re

import pytest
from plotly.offline import get_plotlyjs_version

from evaluation.report.figure import figure
from evaluation.report.packing import unpacked
from evaluation.report.page import PLOTLY, Answers, render
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


@pytest.mark.parametrize(
    ("wishes", "wide"),
    [
        ([False], [True]),
        ([False, False, False], [True, False, False]),
        ([False, False], [True, True]),  # no neighbour
        ([False, False, True], [True, True, True]),
        ([False, False, False, False, True], [True, False, False, True, True]),
    ],
)
def test_a_plot_without_a_neighbour_is_wide(wishes: list[bool], wide: list[bool]) -> None:
    plots = tuple(figure("x", "y", title=f"plot {number}", wide=wish) for number, wish in enumerate(wishes))
    html = render("page", [Section("id", "title", "", figures=plots)])
    assert html.count('id="data-plotly"') == 1
    assert [name == "plot wide" for name in re.findall(r'<figure class="(plot(?: wide)?)">', html)] == wide
    assert re.findall(r'id="(id-\d)"', html) == [f"id-{number}" for number in range(len(wishes))]


def test_a_page_without_plots_has_no_scripts() -> None:
    html = render("page", [Section("id", "title", "", (Table("", ("a",), ((Cell("1"),),)),))])
    assert "<script" not in html


def test_plotly_js_has_the_version_of_the_package() -> None:
    """Otherwise `python -m scripts.vendor_plotly` updates it."""
    head = gzip.decompress(PLOTLY.read_bytes())[:200].decode()
    assert f"plotly.js (basic - minified) v{get_plotlyjs_version()}\n" in head


def test_the_plots_are_in_the_page() -> None:
    html = render("page", [Section("id", "title", "", figures=(figure("the x", "y").add_scatter(x=[1], y=[2]),))])
    found = re.search(r'id="data-plots">([^<]*)<', html)
    assert found is not None
    (plot,) = json.loads(unpacked(found[1])).values()
    assert plot["layout"]["xaxis"]["title"]["text"] == "the x"
    assert (plot["data"][0]["x"], plot["data"][0]["y"]) == ([1], [2])


def test_answers_get_the_room_that_the_page_leaves() -> None:
    asked: list[int] = []

    def answers(room: int) -> Answers:
        asked.append(room)
        return Answers("x" * room, "")

    html = render("page", [], answers=answers, max_bytes=50_000)
    assert len(html.encode()) == 50_000
    assert "<noscript>" in html
    assert 10_000 < asked[0] < 40_000


def test_sections_without_data_are_listed() -> None:
    assert "<li>&lt;name&gt;: run more</li>" in render("page", [], left_out=[("<name>", "run more")])


def test_a_table_without_headings_has_no_head() -> None:
    html = render("page", [Section("id", "title", "", (Table("", ("",), ((Cell("a finding"),),)),))])
    assert "<thead>" not in html
    assert "a finding" in html

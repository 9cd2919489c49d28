"""HTML report page of sections: one base template and one stylesheet, used by `loadtest` as well."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import plotly.io
from plotly.offline import get_plotlyjs

from evaluation.report.section import Section

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    facts: Sequence[tuple[str, str]] = (),
    advice: str = "",
) -> str:
    """Render one HTML file that needs nothing from the network: styles and plotly's script are inline.

    Args:
        title: heading of the page.
        sections: parts of the page, in order; each is linked from the top.
        lead: text below the heading.
        facts: pairs of a value and its name, shown as cards.
        advice: recommendation, shown above the sections.
    """
    return TEMPLATES.get_template("report.html").render(
        title=title,
        sections=sections,
        lead=lead,
        facts=facts,
        advice=advice,
        plotly_js=get_plotlyjs(),
        plot_html=_plot_html,
    )


def _plot_html(figure: Any, div_id: str) -> str:
    html: str = plotly.io.to_html(
        figure,
        include_plotlyjs=False,
        full_html=False,
        div_id=div_id,
        config={"displaylogo": False, "responsive": True, "displayModeBar": False},
    )
    return html

"""HTML report page of sections: one frame and one stylesheet for all HTML reports, those of `loadtest` as well.

A page is one file that needs nothing from the network and has less than `MAX_BYTES`: styles and scripts are inline;
plotly.js, the plots' data and the answers are compressed.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from evaluation.report.figure import distinct
from evaluation.report.packing import packed
from evaluation.report.section import Section

MAX_BYTES = 1_000_000
PLOTLY = Path(__file__).with_name("plotly") / "plotly-basic.min.js.gz"  # written by scripts/vendor_plotly.py
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Answers:
    """Data of the answer browser, and a sentence on what was left out of it."""

    data: str  # from `packed`
    note: str = ""


def render(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    facts: Sequence[tuple[str, str]] = (),
    advice: str = "",
    left_out: Sequence[tuple[str, str]] = (),
    answers: Callable[[int], Answers] | None = None,
    max_bytes: int = MAX_BYTES,
) -> str:
    """Render one HTML file.

    Args:
        title: heading of the page.
        sections: parts of the page, in order; each is linked from the top.
        lead: text below the heading.
        facts: pairs of a value and its name, shown as cards.
        advice: recommendation, shown above the sections.
        left_out: pairs of a title and a reason: sections without data, listed at the end.
        answers: makes the answer browser's data within a number of bytes; None: no browser.
        max_bytes: bound for the page, kept by giving `answers` what the rest of the page leaves.
    """
    figures = {
        f"{section.id}-{number}": distinct(figure)
        for section in sections
        for number, figure in enumerate(section.figures)
    }
    plots = "{" + ",".join(f"{json.dumps(name)}:{figure.to_json()}" for name, figure in figures.items()) + "}"
    values: dict[str, object] = {
        "title": title,
        "sections": sections,
        "lead": lead,
        "facts": facts,
        "advice": advice,
        "left_out": left_out,
        "plotly": base64.b64encode(PLOTLY.read_bytes()).decode() if figures else "",
        "plots": packed(plots.encode()) if figures else "",
        "widths": {section.id: _wide(section) for section in sections},
    }
    template = TEMPLATES.get_template("report.html")
    if answers is None:
        return template.render(**values, answers=None)
    rest = len(template.render(**values, answers=Answers("", "")).encode())
    return template.render(**values, answers=answers(max_bytes - rest))


def _wide(section: Section) -> list[bool]:
    """True for each figure with the whole width: the first, those that ask for it, those without a neighbour."""
    asked = [number == 0 or bool(figure.layout.meta["wide"]) for number, figure in enumerate(section.figures)]
    wide: list[bool] = []
    left = False  # the figure before waits for a neighbour
    for full in asked:
        if full and left:
            wide[-1] = True
        left = not full and not left
        wide.append(full)
    if left:
        wide[-1] = True
    return wide

"""The papers' numbers."""

import pytest

from evaluation import papers
from evaluation.__main__ import main
from tests.support.paths import ROOT


def test_the_papers_averages_are_those_they_print() -> None:
    averages = {name: round(sum(values) / 3, 2) for name, values in papers.TEAMS.items()}
    assert averages == {"iimmdd": 58.38, "mmmddd": 60.04, "dddddd": 59.69}
    assert round(sum(papers.BEST_PER_TASK) / 3, 2) == 62.73


QUALITY = ROOT / "docs" / "quality.md"


def test_the_papers_tables_in_the_documentation_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["papers"]) == 0
    assert capsys.readouterr().out == papers.markdown()
    assert papers.markdown() in QUALITY.read_text()

from loadtest.scale.html_report import render
from tests.support.scale import results


def test_the_page_shows_findings_rows_and_cores() -> None:
    found = results({"orchestrator": 0.97, "engines": 0.4})
    found.machine = {"cpu": "x", "cores": 2, "memory_gib": 1, "system": "s", "python": "3", "load_before": 0}
    page = render(found)
    assert found.sentences()[0] in page.replace("&#39;", "'")
    assert "requests/s per orchestrator core" in page
    assert "Cores used" in page

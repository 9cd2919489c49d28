"""docs/reliability.md: the tests and parts that it names exist."""

import json
import re

from loadtest.torture.parts import PARTS
from scripts.reliability_page import MEASURED, PROMISES, reliability_page
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_test_that_holds_a_promise_exists() -> None:
    named = {path for _, how in PROMISES for path in re.findall(r"`(tests/[\w/.]+)`", how)}
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_part_that_holds_a_promise_exists_and_each_part_holds_one() -> None:
    named = set()
    for _, how in PROMISES:
        for listed in re.findall(r"parts? ((?:`\w+`(?:, | and )?)+)", how):
            named |= set(re.findall(r"`(\w+)`", listed))
    assert named == set(PARTS)


def test_every_class_of_vulnerabilities_names_what_it_is() -> None:
    rows = re.findall(r"^\| (.+) \| `(tests/unit/[\w/]+/test_cve_\w+\.py)` \|$", PAGE, re.MULTILINE)
    assert {path for _, path in rows} == {
        str(path.relative_to(ROOT)) for path in ROOT.glob("tests/unit/**/test_cve_*.py")
    }
    assert all(len(told) > 60 for told, _ in rows)


def test_every_measured_row_is_on_the_page() -> None:
    results = json.loads(MEASURED.read_text())
    assert {result["part"] for result in results} == set(PARTS)
    assert sum(len(result["rows"]) for result in results) > 20
    page = reliability_page()
    for result in results:
        for row in result["rows"]:
            assert row["promise"].replace("<", "&lt;") in page

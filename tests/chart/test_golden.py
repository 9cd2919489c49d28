"""Complete output of the chart for the default, the tiny and the large values.

UPDATE_GOLDEN=1 make chart      # after an intended change; review the diff
"""

import os
from pathlib import Path

import pytest
from render import text

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("case", ["default", "tiny", "large"])
def test_output_is_as_recorded(case: str) -> None:
    file = GOLDEN / f"{case}.yaml"
    rendered = text(case, fixed=True)
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(rendered)
    assert rendered == file.read_text(), f"see the difference with UPDATE_GOLDEN=1 and `git diff {file.name}`"


def test_secrets_that_the_chart_makes_are_random_and_long() -> None:
    first = text("default")
    text.cache_clear()
    second = text("default")
    assert first != second
    assert "auth_token: " in first

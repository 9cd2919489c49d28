"""The documented kind and scorer of one's own: `examples/own_dataset.py`."""

import json
from pathlib import Path

import pytest

from evaluation.datasets.loading import load
from evaluation.scoring import score

ROW = {"question": "How high is Mont Blanc?", "value": 4806, "unit": "metres"}


@pytest.mark.parametrize(("text", "right"), [("About 4,800 metres.", 1.0), ("5500", 0.0), ("It is high.", 0.0)])
def test_the_example_reads_rows_and_scores_answers(text: str, right: float, tmp_path: Path) -> None:
    (tmp_path / "mountains.jsonl").write_text(json.dumps(ROW))
    (item,) = load(str(tmp_path / "mountains.jsonl"), kind="examples.own_dataset:Estimate").items
    assert item.turns == ("How high is Mont Blanc?\n\nAnswer with one number, in metres.",)
    assert item.scorer == "examples.own_dataset:Close"
    assert score(item.scorer, text, item.answer or "").score == right

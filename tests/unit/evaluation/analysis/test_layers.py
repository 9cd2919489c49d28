"""Accuracy by layer."""

from evaluation.analysis.layers import by_layer
from tests.support.rows import LAYERED


def test_accuracy_by_layer_is_that_of_the_agents_own_texts() -> None:
    cells = {(cell.layer, cell.model, cell.role): cell.accuracy for cell in by_layer([LAYERED])}
    assert {key: share.value for key, share in cells.items()} == {
        (1, "a", "proposer"): 0.0,
        (1, "b", "proposer"): 1.0,
        (2, "a", "proposer"): 1.0,
        (2, "b", "proposer"): 1.0,
        (3, "b", "aggregator"): 1.0,
    }

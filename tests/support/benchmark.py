"""Inputs of the side-by-side benchmark's tests."""

from loadtest.bench.measurement import (
    Questions,
)
from loadtest.bench.results import Results
from loadtest.bench.rows import OF_KIND, ROUNDS, ROWS
from loadtest.traffic.prompts import TokenEstimator

MODELS = ("a", "b", "c")


def questions() -> Questions:
    return Questions(TokenEstimator(), "row")


def results() -> Results:
    filled = Results(
        ROWS,
        "moa-on_complete",
        {"cpu": "x", "cores": 2, "memory_gib": 1, "system": "s", "python": "3"} | {"load_before": 0},
    )
    for row in ROWS:
        base = dict.fromkeys(OF_KIND[row.kind], 100.0)
        column = "moa" if row.kind == "pass" else "moa-on_complete"
        for _ in range(ROUNDS):
            filled.add(row, {"vllm": base, column: dict.fromkeys(base, 80.0)})
    return filled

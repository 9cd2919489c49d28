"""Faults of upstream servers, each in one of the roles of a team."""

from pathlib import Path

import pytest

from loadtest.torture.effort import Effort
from loadtest.torture.upstreams import ROLES, measure, outcome


@pytest.mark.timeout(600)
async def test_each_fault_ends_in_an_answer_a_declared_degradation_or_a_typed_error(tmp_path: Path) -> None:
    pytest.importorskip("tests.support.upstream_faults")
    rows = await measure(Effort(short=True, out=tmp_path, say=lambda text: None))
    assert len(rows) == len(ROLES)
    assert {row.promise: row.note for row in rows if row.note} == {}
    assert all(row.kept for row in rows)


ERROR = b'{"error": {"code": "engine_failed"}}'


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, b'{"choices": []}', "answer"),
        (200, b'{"choices": [], "moa": {"degraded": true}}', "degraded"),
        (200, b'data: {"x": 1}\n\ndata: [DONE]\n\n', "answer"),
        (200, b': keep-alive\n\ndata: {"moa":{"degraded":true}}\n\ndata: [DONE]\n\n', "degraded"),
        (200, b"data: " + ERROR + b"\n\ndata: [DONE]\n\n", "typed error"),
        (200, b'data: {"x": 1}\n\n', "a stream that ends silently"),
        (502, ERROR, "typed error"),
        (502, b"Bad Gateway", "status 502 without a code"),
        (404, b'{"detail": "Not Found"}', "status 404 without a code"),
        (502, b'{"error": {"code": "internal_error"}}', "status 502 without a code"),
        (500, ERROR, "status 500"),
    ],
)
def test_outcomes_are_told_apart(status: int, body: bytes, found: str) -> None:
    assert outcome(status, body) == found

"""Lines of output files, and the tokens of answers."""

import json

import pytest

from serving.batches.output import request_id, result, unanswered, usage_json, usage_of
from serving.store.batch_results import LineUsage


def test_a_result_is_the_same_whenever_it_is_made() -> None:
    first, again = (result("batch_1", 7, "mine", 200, b'{"x": 1}') for _ in range(2))
    assert first == again
    assert json.loads(first.content) == {
        "id": request_id("batch_1", 7),
        "custom_id": "mine",
        "response": {"status_code": 200, "request_id": request_id("batch_1", 7), "body": {"x": 1}},
        "error": None,
    }
    assert (first.ok, result("batch_1", 7, "mine", 400, b"{}").ok) == (True, False)


def test_ids_differ() -> None:
    ids = {request_id("b", 1), request_id("b", 2), request_id("c", 1)}
    assert len(ids) == 3


def test_a_line_that_was_not_answered() -> None:
    row = json.loads(unanswered("b", 3, "mine", "batch_expired", "Too late."))
    assert (row["custom_id"], row["response"]) == ("mine", None)
    assert row["error"] == {"code": "batch_expired", "message": "Too late."}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            LineUsage(5, 3, 7, 2),
        ),
        (
            {
                "input_tokens": 5,
                "output_tokens": 7,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
            LineUsage(5, 0, 7, 0),
        ),
        ({"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 4}, LineUsage(5, 4, 7)),
        ({"prompt_tokens": 5, "total_tokens": 5}, LineUsage(5)),
        (None, LineUsage()),
    ],
)
def test_tokens_of_every_dialect(usage: object, expected: LineUsage) -> None:
    assert usage_of(json.dumps({"usage": usage}).encode()) == expected


def test_tokens_that_are_not_known_count_as_none() -> None:
    assert usage_json(LineUsage(5, None, 7, 2)) == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 12,
    }

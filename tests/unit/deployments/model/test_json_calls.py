"""Calls as JSON, read at any cut of the text."""

import json

import pytest

from deployments.model.json_calls import JsonCalls

TWO = '[{"name": "f", "parameters": {"a": "]}\\""}}, {"name": "g", "parameters": {}}]'


def read(text: str, size: int, named: str | None = None) -> list[tuple[str, str, str]]:
    """Ids, names and arguments of the calls in `text`, fed in pieces of `size` characters."""
    ids = iter(("c1", "c2"))
    calls = JsonCalls(named, lambda: next(ids))
    found: list[list[str]] = []
    for start in range(0, len(text), size):
        for piece in calls.feed(text[start : start + size]):
            if piece.id is not None:
                assert piece.index == len(found)
                found.append([piece.id, piece.name or "", ""])
            found[piece.index][2] += piece.arguments
    return [(call_id, name, arguments) for call_id, name, arguments in found]


@pytest.mark.parametrize("size", range(1, len(TWO) + 1))
def test_two_calls_are_the_same_at_any_cut(size: int) -> None:
    assert read(TWO, size) == [("c1", "f", json.dumps({"a": ']}"'})), ("c2", "g", "{}")]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_fields_in_another_order_make_the_same_call(size: int) -> None:
    assert read('[ {"parameters": {"a": [1, {"b": 2}]}, "name": "f"} ]', size) == [("c1", "f", '{"a": [1, {"b": 2}]}')]


def test_a_call_whose_name_is_cut_is_none() -> None:
    assert read('[{"name": "ad', 100) == []


@pytest.mark.parametrize("size", [1, 4, 100])
def test_arguments_alone_are_a_call_of_the_named_function(size: int) -> None:
    assert read(' \n{"a": 1}', size, "f") == [("c1", "f", '{"a": 1}')]
    assert read(" ", size, "f") == []

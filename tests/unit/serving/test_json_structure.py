"""Counts of strings, objects and lists in JSON texts."""

import gc
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.json_structure import collection_paused, count_values, has_more_values, is_deeper, levels, upper_bound

TEXT = st.text('"\\[]{}:, a\n', max_size=8)
JSON = st.recursive(
    st.none() | st.integers(0, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
MANY = 10**9


def counted(value: object) -> int:
    """Strings, keys, objects and lists of a parsed value."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(counted, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(counted, value))
    return int(isinstance(value, str))


@given(JSON, st.sampled_from([None, 1]))
def test_the_count_is_exact_whatever_is_in_texts(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    assert count_values(text, MANY) == counted(value) <= upper_bound(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"[[],{}]", 3),
        (b'{"a":"b"}', 3),
        (b"[1,2,true,null]", 1),
        (rb'["\\","[","\"[\""]', 4),
        (rb'["\\\"[",[]]', 3),
        (b'["' + rb"\\" * 1000 + b'"]', 2),
        (b'["open', 2),
        (b"[[[", 3),
        (b"", 0),
    ],
)
def test_escapes_and_unfinished_texts_are_counted(text: bytes, count: int) -> None:
    assert count_values(text, MANY) == count


@given(JSON)
def test_the_limit_is_the_last_number_that_passes(value: Any) -> None:
    text = json.dumps(value).encode()
    assert not has_more_values(text, counted(value))
    assert has_more_values(text, counted(value) - 1)


@pytest.mark.parametrize("text", [b'["' + b'[{\\"' * 10_000 + b'"]', b'["' + b'\\"' * 10_000 + b'"]'])
def test_quotes_and_brackets_in_a_text_are_no_values(text: bytes) -> None:
    assert upper_bound(text) >= 5_000
    assert not has_more_values(text, 2)


def depth(value: object) -> int:
    """Nested objects and lists."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((depth(one) for one in (value.values() if isinstance(value, dict) else value)), default=0)


def keys_and_strings(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(keys_and_strings, value.values()))
    return sum(map(keys_and_strings, value)) if isinstance(value, list) else int(isinstance(value, str))


@given(JSON)
def test_levels_are_all_objects_and_lists(value: Any) -> None:
    found = [*levels(value)]
    assert len(found) == depth(value)
    assert [is_deeper(value, limit) for limit in range(len(found) + 1)] == [True] * len(found) + [False]
    texts = counted(value) - sum(len(level) for level in found)
    assert texts == keys_and_strings(value)


def test_a_second_thread_does_not_leave_the_garbage_collector_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that finds the collector paused by another one must not pause it when that one has ended."""
    reached, first_ended = threading.Event(), threading.Event()

    def parse() -> None:
        with collection_paused():
            pass

    second = threading.Thread(target=parse)
    disable = gc.disable

    def late() -> None:
        if threading.current_thread() is second:
            reached.set()
            first_ended.wait(20)
        disable()

    monkeypatch.setattr(gc, "disable", late)
    try:
        with collection_paused():
            second.start()
            reached.wait(0.1)
        first_ended.set()
        second.join(20)
        assert gc.isenabled()
    finally:
        gc.enable()

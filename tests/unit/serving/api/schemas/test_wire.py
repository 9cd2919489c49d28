"""Reading of JSON bodies: keys given twice, and nulls."""

import gc
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.dialects.chat_requests import parse_chat
from serving.api.schemas.wire import json_object
from serving.api.settings import ApiSettings
from serving.errors import InvalidRequest


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"n": 1, "n": 2}', "n"),
        ('{"n": 1, "n" : 2}', "n"),
        ('{"n":1,"n"\n:2, "a\\\\": 1}', "n"),
        ('{"n": 1, "\\u006e": 2}', "n"),
        ('{"messages": [{"role": "user"}, {"role": "user", "content": "\\": ", "role": "user"}]}', "messages[1].role"),
        ('{"a": {"b": [[{"c": 1, "c": 1}]]}}', "a.b[0][0].c"),
    ],
)
def test_a_key_given_twice_is_refused_with_its_path(body: str, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        json_object(body.encode(), ApiSettings())
    assert (caught.value.param, str(caught.value)) == (path, f"Remove one '{path}': it is given twice.")


JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text('":\\ \na', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('":\\ a', max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text('":\\ b', max_size=3), JSON, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_other_bodies_are_read_as_they_are(value: dict[str, Any], indent: int | None, spaced: bool) -> None:
    text = json.dumps(value, indent=indent, separators=(",", " : " if spaced else ":"))
    assert json_object(text.encode(), ApiSettings()) == value


def deep(levels: int, inside: bytes = b"1") -> bytes:
    """A body of so many levels of objects and lists."""
    return b'{"a":' + b"[" * (levels - 1) + inside + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize("levels", [129, 1000, 1023, 1025, 100_000])
@pytest.mark.parametrize("inside", [b"1", b'"\\":"', b'{"b" :1,"b" :2}'])
def test_a_body_that_is_too_deep_is_refused(levels: int, inside: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        json_object(deep(levels, inside), ApiSettings())
    assert str(caught.value) == "Flatten the body: its JSON has more than 128 levels of objects and lists."


@pytest.mark.parametrize("most", [16, 128, 512])
def test_the_deepest_body_is_read(most: int) -> None:
    settings = ApiSettings(max_body_depth=most)
    assert json_object(deep(most), settings)
    assert json_object(deep(most, b'"\\":"'), settings)
    with pytest.raises(InvalidRequest, match=f"more than {most} levels"):
        json_object(deep(most + 1), settings)


MANY = {
    "lists": b"[],",
    "objects": b"{},",
    "texts": b'"a",',
    "keys": b'{"a":1},',
    "keys with blanks": b'{"a" :1},',
    "nested lists": b"[" * 1000 + b"]" * 1000 + b",",
}


@pytest.mark.parametrize("piece", MANY.values(), ids=MANY)
def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(_: bytes) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("orjson.loads", parse)
    body = b'{"a":[' + piece * (4 * 2**20 // len(piece)) + b"0]}"
    with pytest.raises(InvalidRequest) as caught:
        json_object(body, ApiSettings())
    assert str(caught.value) == "Shorten the body: it has more than 131072 keys, strings, objects and lists."


def test_numbers_are_not_counted() -> None:
    assert len(json_object(b'{"prompt":[' + b"1," * 2_000_000 + b"1]}", ApiSettings())["prompt"]) == 2_000_001


def test_the_operator_sets_the_number_of_values() -> None:
    settings = ApiSettings(max_body_values=1024)
    assert json_object(b'{"a":[' + b"[]," * 1020 + b"[]]}", settings)
    with pytest.raises(InvalidRequest, match="more than 1024 keys"):
        json_object(b'{"a":[' + b"[]," * 1021 + b"[]]}", settings)


def test_the_garbage_collector_goes_on_after_the_parsing() -> None:
    many = b" " * 2**14
    for body in (b'{"a":1}' + many, b"{" + many, b"[" + many):
        with suppress(InvalidRequest):
            json_object(body, ApiSettings())
        assert gc.isenabled()
    gc.disable()
    try:
        json_object(b"{}" + many, ApiSettings())
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_null_is_not_given_in_every_object() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": "{}", "parsed_arguments": None}, "index": None}
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}], "name": None, "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": [{**call, "type": None}]},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": None, "parameters": None, "strict": None}}
        ],
        "tool_choice": {"type": "auto", "function": None},
        "response_format": {"type": "text", "json_schema": None},
        "stream": True,
        "stream_options": {"include_usage": None},
    }
    parsed = parse_chat(json.dumps(body).encode(), ApiSettings())
    assert parsed.stream_options is not None
    assert parsed.stream_options.include_usage is False
    assert parsed.messages[1].tool_calls[0].type == "function"

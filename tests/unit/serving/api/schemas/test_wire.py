"""Reading of JSON bodies: keys given twice, and nulls."""

import json
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
        json_object(body.encode())
    assert (caught.value.param, str(caught.value)) == (path, f"Remove one '{path}': it is given twice.")


JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text('":\\ \na', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('":\\ a', max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text('":\\ b', max_size=3), JSON, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_other_bodies_are_read_as_they_are(value: dict[str, Any], indent: int | None, spaced: bool) -> None:
    text = json.dumps(value, indent=indent, separators=(",", " : " if spaced else ":"))
    assert json_object(text.encode()) == value


def test_a_body_that_is_too_deep_is_refused() -> None:
    body = b'{"a":' + b'{"b":' * 1010 + b'"\\":"' + b"}" * 1011
    with pytest.raises(InvalidRequest, match=r"levels|parsed"):
        json_object(body)


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

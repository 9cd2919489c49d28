"""Secrets in texts."""

import pytest

from serving.redaction import REDACTED, InvalidKey, check_key, keep_secret, redacted
from serving.store.api_key import new_key


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("authorization: Basic dXNlcjpwYXNz\r\nhost: x", "authorization: [redacted]\r\nhost: x"),
        ("{'x-api-key': 'abc'}", "{'x-api-key': '[redacted]'}"),
        ('{"Proxy-Authorization": "Bearer x"}', '{"Proxy-Authorization": "[redacted]"}'),
        ("[(b'authorization', b'Bearer abc'), (b'a', b'b')]", "[(b'authorization', b'[redacted]'), (b'a', b'b')]"),
        ("Illegal header value b'Bearer abc'", "Illegal header value b'Bearer [redacted]'"),
        ("http://me:pass@host/v1 https://tok@host", "http://[redacted]@host/v1 https://[redacted]@host"),
        ("http://host:80/v1?a=b c@d", "http://host:80/v1?a=b c@d"),
        ("the bearer of this", "the bearer [redacted] this"),  # rather one word too many
        ("no authorization header", "no authorization header"),
    ],
)
def test_credentials_are_replaced(text: str, wanted: str) -> None:
    assert redacted(text) == wanted


def test_known_keys_are_replaced_wherever_they_are() -> None:
    keep_secret("known-key-1")
    keep_secret("known-key-1-longer")
    keep_secret("it's\\quoted")
    keep_secret("a")  # too short to be one
    assert redacted("x=known-key-1-longer&y=known-key-1!") == "x=[redacted]&y=[redacted]!"
    assert redacted(repr("it's\\quoted\n")) == '"[redacted]\\n"'
    assert redacted("a banana") == "a banana"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("sk-one\nsk-two", "has 2 lines, not one"),
        ("sk-one\r\nx: y", "has 2 lines, not one"),
        ("sk-on\u00e9", "has characters other than printable ASCII"),
        ("sk-one\ttwo", "has characters other than printable ASCII"),
        ("sk-one\0", "has characters other than printable ASCII"),
    ],
)
def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown(key: str, why: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        check_key(key)
    assert str(caught.value) == why


def test_white_space_around_a_key_is_that_of_its_file() -> None:
    assert check_key(" sk-of-a-file\n") == "sk-of-a-file"
    assert redacted("sk-of-a-file") == "[redacted]"


def test_keys_of_the_store_are_left_out_wherever_they_are() -> None:
    key = new_key()
    assert redacted(f"tried {key.text} twice") == f"tried {key.prefix}-{REDACTED} twice"

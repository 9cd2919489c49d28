"""Addresses of endpoints: what to change, without the address."""

import pytest

from serving.engines.base_url import base_url_problem


@pytest.mark.parametrize(
    "url",
    [
        "http://a/v1",
        "https://a.example.org:8443/x/v1/",
        "http://[::1]:8000/v1",
        "http://a",
        "http://127.0.0.1:8000/v1",
        "http://my_vllm:8000/v1",
        "https://münchen.example/v1",
        "HTTP://A./v1",
    ],
)
def test_an_address(url: str) -> None:
    assert base_url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://a/v1?key=sk-1", "end it with its path, without '?' and '#'"),
        ("http://a/v1#sk-1", "end it with its path, without '?' and '#'"),
        ("http://sk-1:x@a/v1", "remove the password; set 'api_key_env' instead"),
        ("http://a/v1/chat/completions", "end it before /chat/completions or /completions"),
        ("sk-1", "write a URL such as http://host:8000/v1"),
        ("ftp://sk-1/v1", "write a URL such as http://host:8000/v1"),
        ("http://", "write a URL such as http://host:8000/v1"),
        ("http://${HOST}/v1", "write a URL such as http://host:8000/v1"),
        ("http://[::1/v1", "write a URL such as http://host:8000/v1"),
        ("http://a:99999/v1", "write a URL such as http://host:8000/v1"),
        ("http://a:0/v1", "write a URL such as http://host:8000/v1"),
        ("http://a:-1/v1", "write a URL such as http://host:8000/v1"),
        ("http://a b/v1", "write a URL such as http://host:8000/v1"),
        ("http://a%20b/v1", "write a URL such as http://host:8000/v1"),
        ("http://<host>/v1", "write a URL such as http://host:8000/v1"),
        ("http://xn--a/v1", "write a URL such as http://host:8000/v1"),
        ("http://xn--zz--/v1", "write a URL such as http://host:8000/v1"),
        ("http://a/v1?", "end it with its path, without '?' and '#'"),
        ("http://a/v1#", "end it with its path, without '?' and '#'"),
        ("http://a/v1 ", "remove what is no part of a URL: white space, '{' or '}'"),
        ("http://a/{deployment}/v1", "remove what is no part of a URL: white space, '{' or '}'"),
    ],
)
def test_what_is_no_address(url: str, sentence: str) -> None:
    assert base_url_problem(url) == sentence

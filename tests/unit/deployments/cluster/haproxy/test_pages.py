"""Error pages of HAProxy: the same shape and words for programs as the API's errors."""

import json

import pytest

from deployments.cluster.haproxy.pages import (
    BY_STATUS,
    COMPILED,
    LARGE_HEADERS,
    NO_SESSION,
    STARTING,
    TOO_MANY,
    Page,
    compiled,
)
from serving import errors

ALL = [*BY_STATUS.values(), *COMPILED.values(), LARGE_HEADERS, NO_SESSION, STARTING, TOO_MANY]
KNOWN = {(kind.code, kind.type) for kind in vars(errors).values() if hasattr(kind, "code") and hasattr(kind, "status")}


@pytest.mark.parametrize("page", ALL, ids=lambda page: f"{page.status}-{page.message[:12]}")
def test_a_page_is_an_error_of_the_api(page: Page) -> None:
    error = json.loads(page.body)["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert (error["code"], error["type"]) in (*KNOWN, ("internal_error", "server_error"))
    assert (page.headers.get("retry-after") == "1") == (page.status in (429, 503))
    assert "'" not in page.body, "it stands in single quotes in the configuration"
    head, _, body = page.response().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {page.status} {page.phrase}\r\ncontent-type: application/json\r\n")
    assert head.endswith(f"content-length: {len(body)}")


def test_every_status_of_haproxy_has_a_page() -> None:
    assert {status: page.status for status, page in BY_STATUS.items()} == {
        400: 400, 408: 408, 413: 413, 500: 500, 502: 503, 503: 503, 504: 504,
    }  # fmt: skip


def test_a_compiled_page_has_exactly_its_room_or_is_none() -> None:
    page = COMPILED[400]
    text = compiled(page, 220)
    assert text is not None
    assert len(text) == 220
    head, _, body = text.partition(b"\r\n\r\n")
    assert b"connection:close" in head
    assert json.loads(body)["error"]["message"] == "Invalid or too large headers."
    assert compiled(page, 150) is None

"""Cross-origin requests: off by default, allowed origins, preflights."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from serving.api import ApiSettings
from serving.engines.scripted import ScriptedEngine
from tests.support.api import app_of, chat, client_of

PAGE = "https://chat.example.org"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}


async def answered(
    method: str, path: str, origin: str | None, *origins: str, headers: Any = None, **fields: Any
) -> httpx.Response:
    app = app_of({"m": ScriptedEngine("m")}, cors_origins=origins, api_key="key")
    given = {"authorization": "Bearer key", **({} if origin is None else {"origin": origin}), **(headers or {})}
    async with client_of(app, **given) as client:
        return await client.request(method, path, **fields)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_allowed_page_may_read_answers_and_errors(stream: bool) -> None:
    for body, status in ((chat(stream=stream), 200), (chat(stream=stream, n=0), 400)):
        response = await answered("POST", "/v1/chat/completions", PAGE, PAGE, json=body)
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == PAGE
        assert response.headers["vary"] == "origin"
        assert "x-request-id" in response.headers["access-control-expose-headers"]


@pytest.mark.parametrize(("origin", "origins"), [(PAGE, ()), ("https://evil.example.org", (PAGE,)), (None, (PAGE,))])
async def test_other_pages_may_not(origin: str | None, origins: tuple[str, ...]) -> None:
    response = await answered("GET", "/v1/models", origin, *origins)
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_all_pages_may_where_the_operator_says_so() -> None:
    assert (await answered("GET", "/v1/models", PAGE, "*")).headers["access-control-allow-origin"] == "*"


async def test_a_preflight_needs_no_key() -> None:
    headers = {"authorization": "", **PREFLIGHT}
    response = await answered("OPTIONS", "/v1/chat/completions", PAGE, PAGE, headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == PAGE
    assert response.headers["access-control-allow-methods"] == response.headers["allow"] == "POST, OPTIONS"
    assert response.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert response.headers["access-control-max-age"] == "600"


async def test_a_preflight_of_another_page_allows_nothing() -> None:
    response = await answered("OPTIONS", "/v1/chat/completions", "https://evil.example.org", PAGE, headers=PREFLIGHT)
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origin", ["chat.example.org", "https://chat.example.org/", "https://Chat.example.org", ""])
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="as a browser sends it"):
        ApiSettings(cors_origins=(origin,))

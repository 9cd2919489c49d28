"""Classes of server-side request forgery that vLLM had: a URL of a caller reaches a host that the operator named, only.

CVE-2026-24779: the check and the client read a backslash differently. CVE-2025-6242: any host of the network.
"""

from collections.abc import Sequence

import httpx
import pytest

from serving.api.image_fetcher import ImageFetcher
from serving.api.image_settings import ImageSettings
from serving.engines.scripted import ScriptedEngine
from serving.errors import InvalidRequest
from tests.support.api import app_of, chat, client_of
from tests.support.images import PNG

ALLOWED = "pics.example.org"
URLS = (
    rf"https://169.254.169.254\@{ALLOWED}/a.png",
    rf"https://{ALLOWED}\@169.254.169.254/a.png",
    rf"https://169.254.169.254\.{ALLOWED}/a.png",
    f"https://{ALLOWED}@169.254.169.254/a.png",
    f"https://169.254.169.254#@{ALLOWED}/a.png",
    f"https://169.254.169.254?@{ALLOWED}/a.png",
    f"https://169.254.169.254/{ALLOWED}/a.png",
    f"https://{ALLOWED}.evil.example/a.png",
    f"https://{ALLOWED}%2eevil.example/a.png",
    f"https://{ALLOWED}:22/a.png",
    f"https:/{ALLOWED}/a.png",
    f"https:{ALLOWED}/a.png",
    f"//{ALLOWED}/a.png",
    f"http://{ALLOWED}%00.evil.example/a.png",
    f"http://{ALLOWED}\t.evil.example/a.png",
    f"ftp://{ALLOWED}/a.png",
    f"file://{ALLOWED}/etc/passwd",
    f"gopher://{ALLOWED}/x",
    f"unix://{ALLOWED}/x",
    f"jar:http://{ALLOWED}!/x",
    "http://2852039166/latest",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::1]:8000/v1/models",
    "http://localhost:8265/api/jobs/",
    "http://metadata.google.internal/",
)


@pytest.mark.parametrize("url", URLS)
async def test_no_spelling_of_a_url_leaves_the_allowed_hosts(url: str) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=PNG)

    async def resolved(host: str, port: int) -> Sequence[str]:
        return ("93.184.215.14",)

    fetcher = ImageFetcher(ImageSettings(allowed_hosts=(ALLOWED,)), httpx.MockTransport(answer), resolved)
    with pytest.raises(InvalidRequest):
        await fetcher.fetch(url, "p", lambda size: None)
    assert asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fd00::1",
     "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2002:a00:1::", "224.0.0.1",
     "255.255.255.255"],
)  # fmt: skip
async def test_an_allowed_name_that_leads_inside_is_refused(address: str) -> None:
    async def resolved(host: str, port: int) -> Sequence[str]:
        return ("93.184.215.14", address)

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=PNG))
    fetcher = ImageFetcher(ImageSettings(allowed_hosts=(ALLOWED,)), transport, resolved)
    with pytest.raises(InvalidRequest):
        await fetcher.fetch(f"https://{ALLOWED}/a.png", "p", lambda size: None)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "file:///etc/passwd", "http://localhost:8265/api"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_without_allowed_hosts_no_dialect_fetches_anything(url: str, path: str) -> None:
    part = {
        "/v1/chat/completions": {"type": "image_url", "image_url": {"url": url}},
        "/v1/responses": {"type": "input_image", "image_url": url},
        "/v1/messages": {"type": "image", "source": {"type": "url", "url": url}},
    }[path]
    turn = [{"role": "user", "content": [part]}]
    body = {"model": "m", "input": turn} if path == "/v1/responses" else {"model": "m", "messages": turn}
    if path == "/v1/messages":
        body["max_tokens"] = 5
    engine = ScriptedEngine("m", modalities=("text", "image"))
    async with client_of(app_of({"m": engine})) as client:
        response = await client.post(path, json=body)
    assert response.status_code == 400
    assert engine.requests == []


@pytest.mark.parametrize("field", ["webhook", "callback_url", "background", "previous_response_id", "conversation"])
async def test_no_field_makes_the_server_call_or_look_up_for_a_caller(field: str) -> None:
    async with client_of(app_of({"m": ScriptedEngine("m")})) as client:
        body = {"model": "m", "input": "x", field: "http://169.254.169.254/" if field != "background" else True}
        assert (await client.post("/v1/responses", json=body)).status_code == 400
        assert (await client.post("/v1/chat/completions", json=chat(**{field: "x"}))).status_code == 400

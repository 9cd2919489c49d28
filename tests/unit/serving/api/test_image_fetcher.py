"""Images by URL: allowed hosts, public addresses, redirects and limits, against a scripted server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from serving.api.image_fetcher import ImageFetcher, is_public, resolve
from serving.api.image_reader import ImageSource, read_images
from serving.api.image_settings import ImageSettings
from serving.errors import InvalidRequest, Overloaded
from tests.support.images import PNG, PNG_URL

HOSTS = ("pics.example.org", "other.example.org:8443")
PUBLIC = "93.184.215.14"


def fetcher(answer: Any, addresses: Sequence[str] = (PUBLIC,), **settings: Any) -> ImageFetcher:
    async def resolved(host: str, port: int) -> Sequence[str]:
        return addresses

    wanted = ImageSettings(allowed_hosts=HOSTS, **settings)
    return ImageFetcher(wanted, httpx.MockTransport(answer), resolved)


def served(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=PNG)


async def fetched(answer: Any, url: str = "https://pics.example.org/a.png", **settings: Any) -> bytes:
    return await fetcher(answer, **settings).fetch(url, "p", lambda size: None)


async def refusal(answer: Any, url: str = "https://pics.example.org/a.png", **settings: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        await fetched(answer, url, **settings)
    assert refused.value.param == "p"
    return str(refused.value)


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    asked: list[httpx.Request] = []
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=PNG)

    url = "https://other.example.org:8443/a.png?size=1"
    assert await fetcher(answer).fetch(url, "p", sizes.append) == PNG
    [request] = asked
    assert str(request.url) == f"https://{PUBLIC}:8443/a.png?size=1"
    assert request.headers["host"] == "other.example.org:8443"
    assert request.extensions["sni_hostname"] == "other.example.org"
    assert sum(sizes) == len(PNG)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://evil.org/a.png", "images are not fetched from 'evil.org' (allowed hosts: pics.example.org, other"),
        ("https://other.example.org/a.png", "images are not fetched from 'other.example.org'"),
        ("https://pics.example.org:444/a.png", "images are not fetched from 'pics.example.org:444'"),
        ("https://pics.example.org.evil.org/a.png", "images are not fetched from 'pics.example.org.evil.org'"),
        ("https://pics.example.org@evil.org/a.png", "without a password"),
        ("ftp://pics.example.org/a.png", "Write 'p' as https://HOST/..."),
        ("file:///etc/passwd", "Write 'p' as https://HOST/..."),
        ("a.png", "Write 'p' as https://HOST/..."),
        ("https://[::1/a.png", "it is no URL"),
        (f"https://pics.example.org/{'a' * 3000}", "it is no URL"),
    ],
)
async def test_only_what_is_allowed_is_fetched(url: str, words: str) -> None:
    assert words in await refusal(pytest.fail, url)


async def test_by_default_no_host_is_allowed() -> None:
    with pytest.raises(InvalidRequest, match=r"allowed hosts: none\); send the image itself as data:"):
        await ImageFetcher(ImageSettings()).fetch("https://pics.example.org/a.png", "p", lambda size: None)


@pytest.mark.parametrize(
    "addresses",
    [
        (),
        ("127.0.0.1",),
        ("10.1.2.3",),
        ("169.254.169.254",),
        ("100.64.0.1",),
        ("224.0.0.251",),
        ("0.0.0.0",),
        ("::1",),
        ("fe80::1%eth0",),
        ("fd00::1",),
        ("::ffff:10.0.0.1",),
        ("2002:0a00:0001::",),
        (PUBLIC, "192.168.0.1"),
    ],
)
async def test_a_host_with_a_private_address_is_refused(addresses: Sequence[str]) -> None:
    with pytest.raises(InvalidRequest, match="has an address that is not public"):
        await fetcher(pytest.fail, addresses).fetch("http://pics.example.org/a.png", "p", lambda size: None)


def test_public_addresses_are_public() -> None:
    assert all(map(is_public, (PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14")))
    assert not is_public("pics.example.org")


async def test_redirects_stay_on_their_host() -> None:
    def to(location: str) -> Any:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/b.png":
                return httpx.Response(200, content=PNG)
            return httpx.Response(302, headers={"location": location})

        return answer

    assert await fetched(to("/b.png")) == PNG
    assert await fetched(to("https://pics.example.org/b.png")) == PNG
    for elsewhere in ("https://evil.org/b.png", "http://169.254.169.254/b.png", "//evil.org/b.png"):
        assert "redirects to another host" in await refusal(to(elsewhere))
    assert "'pics.example.org' redirects more than 3 times" in await refusal(to("/a.png"))


async def test_what_the_host_answers_is_bounded() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1000)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    def with_body(body: Any, status: int = 200) -> Any:
        return lambda request: httpx.Response(status, content=body)

    assert "the image has more than 2048 bytes" in await refusal(with_body(endless()), max_bytes=2048)
    assert "did not send the image within 0.05 s" in await refusal(with_body(silent()), fetch_timeout_s=0.05)
    assert "answers with status 404 instead of an image" in await refusal(with_body(b"", 404))

    def squeezed(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=endless(), headers={"content-encoding": "gzip"})

    assert "sends the image compressed" in await refusal(squeezed)


async def test_a_host_that_cannot_be_reached_is_named() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to 10.0.0.1", request=request)

    words = await refusal(broken)
    assert words == "Change 'p': the image cannot be fetched from 'pics.example.org' (ConnectError)."

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    one = ImageFetcher(ImageSettings(allowed_hosts=HOSTS), httpx.MockTransport(served), unknown)
    with pytest.raises(InvalidRequest, match=r"cannot be fetched from 'pics\.example\.org' \(OSError\)"):
        await one.fetch("https://pics.example.org/a.png", "p", lambda size: None)


async def test_names_are_resolved_by_the_system() -> None:
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]


async def test_images_are_read_by_the_paths_of_their_parts_and_fetched_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return served(request)

    wanted = ImageSettings(allowed_hosts=HOSTS, max_images=4)
    url = "https://pics.example.org/a.png"
    sources = [
        ImageSource("m[0]", "m[0].url", url, detail="low"),
        ImageSource("m[1]", "m[1].url", PNG_URL),
        ImageSource("m[2]", "m[2].url", url),
        ImageSource("m[3]", "m[3].data", None, PNG_URL.partition(",")[2], "image/png"),
    ]
    found = await read_images(sources, wanted, fetcher(answer), lambda size: None)
    assert {path: (image.data, image.detail) for path, image in found.items()} == {
        "m[0]": (PNG, "low"),
        "m[1]": (PNG, None),
        "m[2]": (PNG, None),
        "m[3]": (PNG, None),
    }
    assert asked == ["/a.png"]
    with pytest.raises(InvalidRequest, match=r"Remove 'm\[4\]': a request may have at most 4 images\."):
        await read_images([*sources, ImageSource("m[4]", "p", url)], wanted, fetcher(answer), lambda size: None)


async def test_the_first_image_that_fails_is_the_error() -> None:
    wanted = ImageSettings(allowed_hosts=HOSTS)
    good, bad = (ImageSource(path, f"{path}.url", f"https://pics.example.org/{path}") for path in ("good", "bad"))

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if request.url.path == "/bad" else httpx.Response(200, content=b"no image")

    with pytest.raises(InvalidRequest, match=r"Change 'bad\.url': its host answers with status 404"):
        await read_images([bad], wanted, fetcher(answer), lambda size: None)
    with pytest.raises(InvalidRequest, match=r"Send 'good\.url' as PNG"):
        await read_images([good], wanted, fetcher(answer), lambda size: None)

    def too_much(size: int) -> None:
        raise Overloaded("too much")

    with pytest.raises(Overloaded):
        await read_images([good], wanted, fetcher(answer), too_much)

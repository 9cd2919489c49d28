"""Images by their URLs, fetched by the API itself from hosts that the operator allows.

A request could otherwise make the server read addresses that only the server reaches. So the host must be on the list
as it is written; all its addresses must be public; the connection goes to an address that was checked, whatever the
name resolves to a moment later; and a redirect may lead to the same host only.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx

from serving.api.image_settings import ImageSettings
from serving.errors import InvalidRequest
from serving.validation import abbreviated

MAX_REDIRECTS = 3
MAX_URL = 2048  # characters
PORTS = {"http": 80, "https": 443}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # a gateway sends what goes there to the IPv4 address in the last 32 bits


async def resolve(host: str, port: int) -> list[str]:
    """IP addresses of a host. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def is_public(address: str) -> bool:
    """True if the IP address is one of the internet, and not of a private network, this machine or a group."""
    with suppress(ValueError):
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
        teredo = getattr(ip, "teredo", None)
        inner = [mapped] if mapped else list(teredo or ())
        if ip in NAT64:
            inner = [ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)]
        return all(one.is_global and not one.is_multicast for one in (ip, *inner))
    return False


class ImageFetcher:
    """Fetches images within the limits of its settings."""

    def __init__(
        self, settings: ImageSettings, transport: httpx.AsyncBaseTransport | None = None, resolve: Resolve = resolve
    ) -> None:
        """Fetch as `settings` allow.

        Args:
            settings: hosts, timeout and size.
            transport: httpx's way to a server; None: its own.
            resolve: addresses of a host and port.
        """
        self._settings, self._transport, self._resolve = settings, transport, resolve

    async def fetch(self, url: str, path: str, add_bytes: Callable[[int], None]) -> bytes:
        """Bytes at `url`, which the field at `path` has.

        Args:
            url: an http or https URL.
            path: the field, for errors.
            add_bytes: called with the size of each piece that arrives; may raise.

        Raises:
            InvalidRequest: the URL or its host is not allowed, or the image cannot be fetched within the limits.
        """
        target = self._checked(url, path)
        host = target.host
        try:
            async with (
                asyncio.timeout(self._settings.fetch_timeout_s),
                # `trust_env=False`: a proxy from the environment would resolve the name again.
                httpx.AsyncClient(transport=self._transport, trust_env=False, timeout=None) as client,
            ):
                for _ in range(MAX_REDIRECTS + 1):
                    async with client.stream("GET", **await self._addressed(target, path)) as response:
                        if not response.has_redirect_location:
                            return await self._read(response, path, add_bytes)
                        following = target.join(response.headers["location"])
                        if (following.host, following.port) != (target.host, target.port):
                            raise InvalidRequest(
                                f"Change '{path}': '{host}' redirects to another host, which is not followed.", path
                            )
                        target = self._checked(str(following), path)
        except TimeoutError:
            limit_s = self._settings.fetch_timeout_s
            raise InvalidRequest(
                f"Change '{path}': '{host}' did not send the image within {limit_s:g} s.", path
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise InvalidRequest(
                f"Change '{path}': the image cannot be fetched from '{host}' ({type(error).__name__}).", path
            ) from None
        raise InvalidRequest(f"Change '{path}': '{host}' redirects more than {MAX_REDIRECTS} times.", path)

    def _checked(self, url: str, path: str) -> httpx.URL:
        """`url` if its form and its host are allowed. Raises `InvalidRequest`."""
        hint = "send the image itself as data:image/png;base64,..."
        try:
            if len(url) > MAX_URL:
                raise httpx.InvalidURL("too long")
            target = httpx.URL(url)
        except httpx.InvalidURL:
            raise InvalidRequest(f"Change '{path}': it is no URL; {hint}.", path) from None
        if target.scheme not in PORTS or not target.host or target.userinfo:
            raise InvalidRequest(
                f"Write '{path}' as https://HOST/..., without a password, not '{abbreviated(url)}'; or {hint}.", path
            )
        named = target.host if target.port is None else f"{target.host}:{target.port}"
        if named not in self._settings.allowed_hosts:
            allowed = ", ".join(self._settings.allowed_hosts) or "none"
            raise InvalidRequest(
                f"Change '{path}': images are not fetched from '{abbreviated(named)}' (allowed hosts: {allowed});"
                f" {hint}.",
                path,
            )
        return target

    async def _addressed(self, target: httpx.URL, path: str) -> dict[str, Any]:
        """Arguments of a request for `target` to one of its addresses, all of which are public."""
        port = target.port or PORTS[target.scheme]
        addresses = await self._resolve(target.host, port)
        if not addresses or not all(map(is_public, addresses)):
            raise InvalidRequest(f"Change '{path}': the host '{target.host}' has an address that is not public.", path)
        # The name stays in the header and in TLS, which verifies the certificate against it.
        return {
            "url": target.copy_with(host=addresses[0]),
            "headers": {"host": target.netloc.decode("ascii"), "accept": "image/*", "accept-encoding": "identity"},
            "extensions": {"sni_hostname": target.host},
        }

    async def _read(self, response: httpx.Response, path: str, add_bytes: Callable[[int], None]) -> bytes:
        if response.status_code != 200:
            raise InvalidRequest(
                f"Change '{path}': its host answers with status {response.status_code} instead of an image.", path
            )
        if response.headers.get("content-encoding", "identity") != "identity":  # a small piece could become a large one
            raise InvalidRequest(f"Change '{path}': its host sends the image compressed.", path)
        pieces: list[bytes] = []
        size = 0
        async for piece in response.aiter_bytes():
            add_bytes(len(piece))
            pieces.append(piece)
            size += len(piece)
            if size > self._settings.max_bytes:
                raise InvalidRequest(
                    f"Change '{path}': the image has more than {self._settings.max_bytes} bytes.", path
                )
        return b"".join(pieces)

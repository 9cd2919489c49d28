"""The API key of a request, which its headers must give once."""

import hmac
from collections.abc import Iterable

from serving.errors import Unauthorized

AUTHORIZATION, X_API_KEY = b"authorization", b"x-api-key"


def given_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key that the headers of a request give; None if they give none.

    Proxies and servers differ in which of two keys they take. So one that is given twice, in two ways or empty is
    refused, whatever the other is.

    Raises:
        Unauthorized: a header comes twice, is empty or is no bearer token, or the two headers differ.
    """
    found: dict[bytes, list[bytes]] = {AUTHORIZATION: [], X_API_KEY: []}
    for name, value in headers:
        if (values := found.get(name.lower())) is not None:
            values.append(value.strip())
    for name, values in found.items():
        if len(values) > 1:
            raise Unauthorized(f"Send one '{name.decode()}' header, not {len(values)}.")
        if values == [b""]:
            raise Unauthorized(f"Remove the '{name.decode()}' header, which is empty, or put the API key into it.")
    token = _bearer_token(found[AUTHORIZATION][0]) if found[AUTHORIZATION] else None
    key = found[X_API_KEY][0] if found[X_API_KEY] else None
    if token is not None and key is not None and not hmac.compare_digest(token, key):
        raise Unauthorized("Send the API key in 'authorization' or in 'x-api-key': the two headers differ.")
    return key if token is None else token


def _bearer_token(value: bytes) -> bytes:
    scheme, _, token = value.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token:
        raise Unauthorized("Write the 'authorization' header as 'Bearer KEY', with the server's API key.")
    return token

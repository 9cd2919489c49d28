"""One API key per request."""

import pytest

from serving.api.credentials import given_key
from serving.engines.scripted import ScriptedEngine
from serving.errors import Unauthorized
from tests.support.api import app_of, client_of, status_and_code

KEY, OTHER = b"key-one", b"key-two"
Pairs = list[tuple[bytes, bytes]]


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        ([(b"host", b"x")], None),
        ([(b"authorization", b"Bearer key-one")], KEY),
        ([(b"Authorization", b"  bearer   key-one ")], KEY),
        ([(b"x-api-key", b"key-one")], KEY),
        ([(b"x-api-key", b"key-one"), (b"authorization", b"Bearer key-one")], KEY),
        ([(b"authorization", b"Bearer key-one, Bearer key-two")], b"key-one, Bearer key-two"),  # no key of anybody
    ],
)
def test_a_key_is_read_from_one_of_two_headers(headers: Pairs, key: bytes | None) -> None:
    assert given_key(headers) == key


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ([(b"authorization", b"Bearer key-two"), (b"authorization", b"Bearer key-one")], "Send one 'authorization'"),
        ([(b"authorization", b"Bearer key-one"), (b"authorization", b"Bearer key-one")], "not 2"),
        ([(b"authorization", b""), (b"Authorization", b"Bearer key-one")], "Send one 'authorization'"),
        ([(b"x-api-key", b"key-two"), (b"x-api-key", b"key-one")], "Send one 'x-api-key'"),
        ([(b"x-api-key", b"key-two"), (b"authorization", b"Bearer key-one")], "the two headers differ"),
        ([(b"x-api-key", b"key-one"), (b"authorization", b"Basic key-one")], "as 'Bearer KEY'"),
        ([(b"x-api-key", b""), (b"authorization", b"Bearer key-one")], "Remove the 'x-api-key' header, which is empty"),
        ([(b"authorization", b"  "), (b"x-api-key", b"key-one")], "Remove the 'authorization' header"),
        ([(b"authorization", b"Bearer ")], "as 'Bearer KEY'"),
        ([(b"authorization", b"key-one")], "as 'Bearer KEY'"),
    ],
)
async def test_two_keys_and_empty_ones_are_refused_by_name(headers: Pairs, says: str) -> None:
    with pytest.raises(Unauthorized, match=says):
        given_key(headers)
    app = app_of({"m": ScriptedEngine("m")}, api_key=(KEY.decode(), OTHER.decode()))
    async with client_of(app) as client:
        response = await client.get("/v1/models", headers=headers)
    assert status_and_code(response) == (401, "invalid_api_key")
    assert says in response.json()["error"]["message"]

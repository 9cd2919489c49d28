"""Texts of callers that PostgreSQL cannot store: every endpoint refuses them in one sentence, with both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, select

from serving.api.settings import ApiSettings
from serving.store.database import Database
from serving.store.errors import UnstorableText
from serving.store.tables import VALUES
from tests.support.batches import CHAT, batches_app

ADMIN = {"authorization": "Bearer the admin's key"}
NUL = "a\0b"


@pytest.fixture(params=["sqlite", "postgresql"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    environment = {}
    if request.param == "postgresql":
        environment["MOA_DATABASE_URL"] = request.getfixturevalue("postgres").url
    app = batches_app(tmp_path, environment=environment, works=False, api=ApiSettings(admin_key="the admin's key"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", headers=ADMIN, timeout=60) as client,
    ):
        yield client


PATHS = (
    ("GET", "/v1/files/a%00b", 404),
    ("GET", "/v1/files/a%00b/content", 404),
    ("DELETE", "/v1/files/a%00b", 404),
    ("GET", "/v1/files?after=a%00b", 404),
    ("GET", "/v1/files?purpose=a%00b", 400),
    ("GET", "/v1/batches/a%00b", 404),
    ("POST", "/v1/batches/a%00b/cancel", 404),
    ("GET", "/v1/batches?after=a%00b", 404),
    ("GET", "/v1/admin/keys/a%00b", 404),
    ("DELETE", "/v1/admin/keys/a%00b", 404),
    ("GET", "/v1/usage?key=a%00b", 400),
)
BODIES = (
    ("POST", "/v1/batches", {"input_file_id": NUL, "endpoint": CHAT, "completion_window": "24h"}, 404),
    ("POST", "/v1/feedback", {"id": NUL, "score": 1}, 404),
    ("POST", "/v1/admin/keys", {"name": "one", "team": NUL}, 400),
    ("PATCH", "/v1/admin/keys/a%00b", {"team": "web"}, 404),
    ("POST", "/v1/admin/keys/a%00b/rotate", {}, 404),
)


async def test_every_endpoint_refuses_texts_with_nul(client: httpx.AsyncClient) -> None:
    for method, path, *rest in (*PATHS, *BODIES):
        body, status = rest if len(rest) == 2 else (None, rest[0])
        answer = await client.request(method, path, json=body)
        assert answer.status_code == status, (method, path, answer.text)
        message = answer.json()["error"]["message"]
        assert message.endswith("."), message


async def test_a_form_with_nul_is_refused(client: httpx.AsyncClient) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = part % (b"purpose", b"", b"batch") + part % (b"file", b'; filename="a\0b"', b"{}") + b"--x--\r\n"
    answer = await client.post("/v1/files", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400, answer.text


async def test_metadata_with_nul_are_kept_as_they_are(client: httpx.AsyncClient) -> None:
    file = await client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", b"{}")})
    body = {"input_file_id": file.json()["id"], "endpoint": CHAT, "completion_window": "24h", "metadata": {NUL: NUL}}
    batch = (await client.post("/v1/batches", json=body)).json()
    assert (await client.get(f"/v1/batches/{batch['id']}")).json()["metadata"] == {NUL: NUL}


@pytest.mark.parametrize("text", [NUL, "a\ud800"])
async def test_no_statement_takes_such_a_text(database: Database, text: str) -> None:
    row = {"key": text, "value": b"v", "expires_at": 1.0}
    for statement, rows in ((insert(VALUES), [row]), (insert(VALUES), [{**row, "key": "good"}, row])):
        with pytest.raises(UnstorableText):
            async with database.writing() as connection:
                await connection.execute(statement, rows)
    with pytest.raises(UnstorableText):
        async with database.reading() as connection:
            await connection.execute(select(VALUES.c.key).where(VALUES.c.key == text))

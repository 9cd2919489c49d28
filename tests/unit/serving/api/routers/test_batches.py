"""The description of files and batches, and what is answered while the store is away."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import jsonschema
import orjson
import pytest

from serving.api.app import DIALECTS
from serving.api.batch_lines import BatchLines
from serving.api.openapi import COMPONENTS
from serving.api.routers.batches import ENDPOINTS
from serving.api.settings import ApiSettings
from serving.batches.parts import LineRequest
from serving.engines.scripted import ScriptedEngine
from serving.types import Delta, GenerateRequest
from tests.support.api import app_of, client_of, status_and_code
from tests.support.batches import CHAT, batches_app, jsonl, line
from tests.support.limits import key

PATHS = ("/v1/files", "/v1/files/{file_id}", "/v1/files/{file_id}/content")
PATHS += ("/v1/batches", "/v1/batches/{batch_id}", "/v1/batches/{batch_id}/cancel")


async def test_answers_are_what_the_description_says(tmp_path: Path) -> None:
    app = batches_app(tmp_path, works=False)
    described = app.openapi()
    assert {*PATHS} <= {*described["paths"]}
    components = {"components": described["components"]}

    def check(answer: object, name: str) -> None:
        jsonschema.validate(answer, {"$ref": COMPONENTS + name, **components})

    async with app.router.lifespan_context(app), client_of(app) as client:
        form = {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        made = await client.post("/v1/files", data=form, files={"file": ("r.jsonl", jsonl(line("a")))})
        file = made.json()
        check(file, "FileRead")
        check((await client.get("/v1/files", params={"limit": 1})).json(), "FileList")
        asked = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
        batch = (await client.post("/v1/batches", json=asked)).json()
        check(batch, "BatchRead")
        check((await client.get(f"/v1/batches/{batch['id']}")).json(), "BatchRead")
        check((await client.get("/v1/batches")).json(), "BatchList")
        check((await client.post(f"/v1/batches/{batch['id']}/cancel")).json(), "BatchRead")
        content = await client.get(f"/v1/files/{file['id']}/content")
        assert content.content == jsonl(line("a"))
        assert content.headers["content-length"] == str(file["bytes"])
        for path, query in (
            ("/v1/files", {"limit": "0"}),
            ("/v1/files", {"limit": "x"}),
            ("/v1/files", {"order": "up"}),
            ("/v1/batches", {"limit": "101"}),
        ):
            assert status_and_code(await client.get(path, params=query)) == (400, "invalid_request")
        assert status_and_code(await client.get("/v1/batches", params={"after": "x"})) == (404, "object_not_found")


@pytest.mark.parametrize("method", ["get", "post"])
async def test_a_store_that_is_away_is_said_and_answers_go_on(tmp_path: Path, method: str) -> None:
    (tmp_path / "file").write_text("")
    app = batches_app(tmp_path / "file", works=True)
    async with app.router.lifespan_context(app), client_of(app) as client:
        if method == "get":
            response = await client.get("/v1/batches")
        else:
            sent = {"file": ("r.jsonl", b"{}")}
            response = await client.post("/v1/files", data={"purpose": "batch"}, files=sent)
        assert status_and_code(response) == (503, "store_unavailable")
        assert response.headers["retry-after"] == "5"
        answer = await client.post(CHAT, json={"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
        assert answer.status_code == 200


async def test_without_batches_the_paths_do_not_exist() -> None:
    async with client_of(app_of({})) as client:
        assert status_and_code(await client.get("/v1/batches")) == (404, "not_found")
        assert status_and_code(await client.get("/v1/files")) == (404, "not_found")


@pytest.mark.parametrize(
    ("data", "files", "param"),
    [
        ({"purpose": "batch"}, {"other": ("r.jsonl", b"{}")}, "file"),
        ({"purpose": "batch", "more": "x"}, {"file": ("r.jsonl", b"{}")}, "more"),
        ({}, {"file": ("r.jsonl", b"{}")}, "purpose"),
        ({"purpose": "batch"}, {"file": ("a" * 300, b"{}")}, "file"),
        ({"purpose": "batch", "expires_after[seconds]": "9000"}, {"file": ("r", b"{}")}, "expires_after[anchor]"),
        (
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "10"},
            {"file": ("r", b"{}")},
            "expires_after[seconds]",
        ),
    ],
)
async def test_a_wrong_form_is_refused_with_its_field(
    tmp_path: Path, data: dict[str, str], files: dict[str, tuple[str, bytes]], param: str
) -> None:
    app = batches_app(tmp_path, works=False)
    async with app.router.lifespan_context(app), client_of(app) as client:
        response = await client.post("/v1/files", data=data, files=files)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == param


async def test_one_upload_too_many_is_refused_until_another_ends(tmp_path: Path) -> None:
    app = batches_app(tmp_path, works=False, max_uploads=1)
    batches = app.state.server.batches

    async def send() -> httpx.Response:
        return await client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("r.jsonl", b"{}")})

    async with app.router.lifespan_context(app), client_of(app) as client:
        with batches.upload() as has_room:
            assert has_room
            assert status_and_code(await send()) == (429, "overloaded")
        assert (await send()).status_code == 200


async def test_a_line_whose_answer_breaks_is_an_answer(tmp_path: Path) -> None:
    class Broken(ScriptedEngine):
        async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
            raise RuntimeError("a secret")
            yield

    app = batches_app(tmp_path, {"m": Broken("m")}, works=False)
    server = app.state.server
    lines = BatchLines(server, DIALECTS, {}, ENDPOINTS)
    body = orjson.dumps(line("a")["body"])
    async with app.router.lifespan_context(app):
        answer = await lines.answer(LineRequest("name:none", CHAT, "batch_req_1", body))
        assert answer.status >= 500
        assert b"a secret" not in answer.body
        gone = await lines.answer(LineRequest("name:gone", CHAT, "batch_req_1", body))
        assert (gone.status, orjson.loads(gone.body)["error"]["code"]) == (401, "invalid_api_key")
        assert (await lines.model_check("name:none", "/v1/embeddings"))("m") is not None
        assert (await lines.model_check("name:none", CHAT))("m") is None
        assert "removed" in (await lines.model_check("name:gone", CHAT))("m")


async def test_a_line_that_a_limit_refuses_says_when_to_ask_again(tmp_path: Path) -> None:
    limits = {"concurrent_requests": 3, "requests_per_minute": 1}
    app = batches_app(tmp_path, works=False, api=ApiSettings(keys=[key("a", limits=limits), key("b")]))
    lines = BatchLines(app.state.server, DIALECTS, {}, ENDPOINTS)
    assert [await lines.at_once(f"name:{name}") for name in ("a", "b", "gone")] == [3, None, None]
    request = LineRequest("name:a", CHAT, "batch_req_1", orjson.dumps(line("x")["body"]))
    async with app.router.lifespan_context(app):
        first = answer = await lines.answer(request)
        while answer.status == 200:  # once more in the next minute
            answer = await lines.answer(request)
    assert (first.status, first.retry_after_s) == (200, None)
    assert answer.status == 429
    assert 1 <= (answer.retry_after_s or 0) <= 60


async def test_a_form_that_is_none_is_refused(tmp_path: Path) -> None:
    app = batches_app(tmp_path, works=False)
    async with app.router.lifespan_context(app), client_of(app) as client:
        headers = {"content-type": "multipart/form-data"}
        response = await client.post("/v1/files", content=b"no form", headers=headers)
        assert status_and_code(response) == (400, "invalid_request")
        headers = {"content-type": "multipart/form-data; boundary=x"}
        response = await client.post("/v1/files", content=b"no form", headers=headers)
        assert status_and_code(response) == (400, "invalid_request")
